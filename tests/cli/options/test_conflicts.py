import click
import pytest

from mypt.cli.options.conflicts import Conflicts, check_conflicts

CONFLICTS = Conflicts(
    beside={"score": ("prompt", "seed")},
    without={"logits": ("as_json",), "stride": ("score",), "device": ("score", "prompt")},
)


def check(*words):
    """Check a command line whose flags have no default but that of `--seed`."""
    flags = [click.Option([f"--{n}"]) for n in ("score", "prompt", "stride", "device")]
    flags += [click.Option(["--json", "as_json"], is_flag=True)]
    flags += [click.Option(["--logits"], is_flag=True), click.Option(["--seed"], default=1)]
    context = click.Command("generate", params=flags).make_context("generate", list(words))
    check_conflicts(context, CONFLICTS)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--score", "a"],  # the default of --seed is not on the command line
        ["--prompt", "a", "--seed", "2"],
        ["--logits", "--json"],
        ["--prompt", "a", "--device", "cpu"],
    ],
)
def test_flags_that_go_together_are_accepted(words):
    check(*words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--score", "a", "--seed", "2"], "--seed cannot be used with --score"),
        (
            ["--score", "a", "--seed", "2", "--prompt", "b"],
            "--prompt and --seed cannot be used with --score",
        ),
        (["--logits"], "--logits needs --json"),
        (["--device", "cpu"], "--device needs --score or --prompt"),
    ],
)
def test_flags_without_effect_are_refused_by_name(words, said):
    with pytest.raises(click.UsageError) as refused:
        check(*words)
    assert refused.value.message == said
