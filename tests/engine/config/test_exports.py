"""What a config can be exported to is known before anything is trained."""

import pytest

from mypt.engine.config.exports import describe_exports, list_exports
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import PluginError, Problem
from mypt.plugins import ExporterFactory


class Offered:
    """Exporters in place of all plugins'."""

    def __init__(self, **explains):
        self.exporters = {
            name: ExporterFactory(name, name.title(), explain=explain, write=print)
            for name, explain in explains.items()
        }


def refuse(config):
    return [
        Problem("config.json", "/norm_type", "is layernorm", "train with --norm_type rmsnorm"),
        Problem("config.json", "/mlp_type", "is gelu", "train with --mlp_type swiglu"),
    ]


def fail(config):
    raise PluginError(Problem("", "plugin mine", "failed in `explain`", "update it"))


def test_each_program_is_a_word_or_the_first_reason_with_what_to_do():
    exports = list_exports(GPTConfig(), Offered(a=lambda _: [], b=refuse, c=lambda _: [], d=fail))
    assert list(describe_exports(exports)) == [
        "Can be exported to: a, c",
        "Cannot be exported to b: norm_type: is layernorm; train with --norm_type rmsnorm (and 1 "
        "other reason)",
        "Cannot be exported to d: plugin mine: failed in `explain`; update it",
    ]


def test_where_nothing_can_be_written_no_line_says_what_can():
    (line,) = describe_exports(list_exports(GPTConfig(), Offered(b=refuse)))
    assert line.startswith("Cannot be exported to b: ")


@pytest.mark.parametrize("asked", [(), ("--head_bias",)])
def test_the_start_of_a_run_says_it(cli, in_tmp, asked):
    (in_tmp / "input.txt").write_text("the cat sat on the mat " * 40)
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 8, "block_size": 8, "batch_size": 2}
    sizes |= {"max_iters": 2, "eval_iters": 1, "device": "cpu"}
    words = ["train", "--model_name", "cat", "--input_file", "input.txt", *asked]
    words += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    code, out, err = cli(*words)
    assert code == 0, err
    if asked:
        assert "Cannot be exported to hf: head_bias: is true" in out
        assert "--no_head_bias" in out
    else:
        assert "Can be exported to: hf" in out
    code, out, _ = cli(*words, "--max_iters", "3")
    assert "exported to" not in out  # it goes on: there is nothing to choose any more
