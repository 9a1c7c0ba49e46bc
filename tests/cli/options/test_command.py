import click
import pytest

from mypt.cli.main import SETTINGS, mypt_group
from mypt.cli.options.command import Command, Group
from mypt.cli.options.suggestions import list_commands


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("words", nargs=-1)
@click.option("--use_amp/--no_use_amp", default=None)
@click.option("--plain", is_flag=True)
@click.option("--text")
def command(words, use_amp, plain, text):
    return words, use_amp, plain, text


def parse(*arguments):
    return command.main(list(arguments), standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--use_amp=False",), ((), False, False, None)),
        (("--use-amp=true",), ((), True, False, None)),
        (("--use_amp", "False", "a"), (("a",), False, False, None)),
        (("--use_amp", "a"), (("a",), True, False, None)),
        (("--no_use_amp=1",), ((), False, False, None)),
        (("--no-use-amp=off",), ((), True, False, None)),
        (("--plain=no",), ((), None, False, None)),
        (("--plain=YES",), ((), None, True, None)),
        (("--text", "--plain=no", "--plain"), ((), None, True, "--plain=no")),
        (("--text=--plain=no",), ((), None, False, "--plain=no")),
        (("--", "--plain=no"), (("--plain=no",), None, False, None)),
        (("true",), (("true",), None, False, None)),
    ],
)
def test_a_flag_may_have_a_value(arguments, wanted):
    assert parse(*arguments) == wanted


def test_another_value_of_a_flag_is_wrong_usage():
    with pytest.raises(click.BadOptionUsage, match="'--use_amp' takes true or false, not 'maybe'"):
        parse("--use_amp=maybe")


def test_every_command_takes_flags_with_values():
    for words, one in list_commands(mypt_group, click.Context(mypt_group)):
        assert isinstance(one, Command | click.Group), words
    groups = [g for _, g in list_commands(mypt_group, click.Context(mypt_group))]
    assert any(isinstance(group, Group) for group in groups)
