import os
import subprocess
import sys

import pytest


def test_help_lists_every_command(cli):
    code, out, _ = cli("--help")
    assert code == 0
    for name in ("train", "generate", "inspect", "configs", "plugins", "format"):
        assert name in out


def test_no_command_shows_the_help(cli):
    code, out, err = cli()
    assert code == 2
    assert "Commands" in out
    assert err == ""


def test_the_version_is_printed(cli):
    import mypt

    assert cli("--version")[1] == f"mypt, version {mypt.__version__}\n"


def test_an_unknown_flag_is_wrong_usage_with_one_line(refused):
    line = refused("train", "--model_nam", "x", code=2)
    assert "--model_name" in line
    assert "mypt train --help" in line


def test_an_unknown_command_is_wrong_usage(refused):
    assert "trian" in refused("trian", code=2)


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no folder that a process is in")
def test_a_working_folder_that_was_removed_is_named_as_what_is_wrong(refused, in_tmp, monkeypatch):
    gone = in_tmp / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    line = refused("train", "--model_name", "new", "--input_file", "stdlib")
    assert "the folder that this was called in was removed; change into one that exists" in line


def test_dashes_work_as_well_as_underscores(cli):
    assert cli("configs", "--config-file", "tiny")[0] == 0


def test_every_flag_says_what_it_does(cli):
    for command in ("train", "generate", "inspect", "configs"):
        _, out, _ = cli(command, "--help")
        flags = [line for line in out.splitlines() if line.startswith("  -")]
        assert flags
        assert all(len(line.split()) > 1 for line in flags)


def test_the_help_shows_the_defaults(cli):
    from mypt.model.decoding.sampling_options import Sampling

    _, out, _ = cli("generate", "--help")
    said = " ".join(out.split())
    for name in ("temperature", "top_p", "repetition_penalty"):
        about = said.partition(f"--{name} ")[2].partition("--")[0]
        assert f"[default: {getattr(Sampling(), name)}]" in about, about
    assert "by default half the block size" in said
    for name, default in (("samples", 1), ("batch_size", 32)):
        assert f"[default: {default}" in said.partition(f"--{name} ")[2].partition(" --")[0]
    assert "Without any, a new text begins." in said
    _, out, _ = cli("train", "--help")
    assert "[default: the preset's, or gpt2]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (("train", "--model_name", "a", "--input_file", ""), "--input_file"),
        (("train", "--model_name", "a", "--dataset_dir="), "--dataset_dir"),
        (("train", "--model_name", ""), "--model_name"),
        (("generate", "--model_name", ""), "--model_name"),
        (("generate", "--model_name", "a", "--score", ""), "--score"),
        (("inspect", "--model_name", ""), "--model_name"),
        (("data", "inspect", ""), "FOLDER"),
        (("data", "prepare", "a", "", "--output", "b"), "INPUT..."),
        (("plot", ""), "LOG_OR_MODEL..."),
        (("format", "validate", ""), "PATH_OR_MODEL..."),
    ],
)
def test_an_empty_value_is_wrong_usage(refused, in_tmp, command, flag):
    line = refused(*command, code=2)
    assert f"'{flag}': must not be empty" in line


def test_every_field_of_the_documents_is_a_flag(cli):
    from mypt.cli.options.fields import NO_FLAGS
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.convert import field_names
    from mypt.format.documents.training import TrainingConfig

    _, out, _ = cli("train", "--help")
    for cls in (GPTConfig, TrainingConfig):
        for name in field_names(cls):
            assert (f"--{name}" in out) == (name not in NO_FLAGS), name


@pytest.mark.parametrize("arguments", [("--help",), ("validate", "BUNDLE"), ("validate",), ("no",)])
def test_the_three_ways_to_the_format_commands_are_one(arguments, bundle):
    words = [str(bundle) if word == "BUNDLE" else word for word in arguments]
    ways = [
        [sys.executable, "-m", "mypt.format"],
        [sys.executable, "-m", "mypt", "format"],
        [sys.executable, "-c", "from mypt.cli.main import main; main()", "format"],
    ]
    results = {
        (done.returncode, done.stdout, done.stderr)
        for done in (
            subprocess.run([*way, *words], capture_output=True, text=True, check=False)
            for way in ways
        )
    }
    assert len(results) == 1, results


@pytest.mark.skipif(sys.platform == "win32", reason="it takes a shell that closes it")
def test_a_standard_input_that_is_closed_from_the_start_is_an_empty_one(in_tmp):
    command = [sys.executable, "-m", "mypt", "data", "prepare", "-", "--output", "out"]
    shell = ["sh", "-c", 'exec "$0" "$@" <&-', *command]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the standard input: is empty; name a file")
    assert not (in_tmp / "out").exists()


def test_a_folder_of_the_same_name_hides_no_error(in_tmp):
    (in_tmp / "mypt").mkdir()  # such as a clone; Python takes it for a part of the package
    command = [sys.executable, "-m", "mypt.format", "migrate", "nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: nope: does not exist; name a checkpoint")


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, rb"\u3042"),
        ({"PYTHONIOENCODING": "ascii"}, rb"\u3042"),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "あ".encode()),
    ],
)
def test_text_that_the_system_cannot_show_ends_no_command(in_tmp, variables, printed):
    import mypt
    from mypt.tokenizers.char import CharTokenizer

    tokenizer = CharTokenizer(("あ", "b"))
    config = mypt.GPTConfig(n_layer=1, n_head=1, n_embd=8, block_size=8, vocab_size=2)
    mypt.GPT(config, tokenizer).save("checkpoints/m")
    command = [sys.executable, "-m", "mypt", "inspect", "--model_name", "m"]
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


# Ctrl-C while the libraries load that a command needs.
EARLY = """
import os, runpy, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # these tests may run in nohup
sys.meta_path.insert(0, Press())
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal for itself")
@pytest.mark.parametrize("module", ["mypt", "mypt.format"])
def test_a_ctrl_c_before_a_command_begins_ends_with_one_line(module):
    done = subprocess.run(
        [sys.executable, "-c", EARLY, module, "--help"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "interrupted\n")
