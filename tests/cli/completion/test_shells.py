"""Completion as bash, zsh and fish ask for it; the shells themselves where they are installed."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mypt.cli.completion.shells import SHELLS, VARIABLE, make_script, register
from mypt.cli.main import main, mypt_group

PATIENCE_S = 120  # for what hangs: a shell that never answers fails the test


@pytest.fixture
def folder(in_tmp):
    """Make a folder with two models, a data set that is none, and a text."""
    for name in ("dante", "my model", "tokens"):
        (in_tmp / "checkpoints" / name).mkdir(parents=True)
    for name in ("dante", "my model"):
        (in_tmp / "checkpoints" / name / "config.json").touch()
    (in_tmp / "input.txt").touch()
    return in_tmp


@pytest.fixture
def complete(folder, monkeypatch, capfd):
    """Give what asks `mypt` to complete a line, as a shell does; it gives the answer's lines."""
    register()

    def call(line, shell="zsh"):
        *before, last = line.split(" ")
        words = line.replace("=", " = ").split(" ") if shell == "bash" else line.split(" ")
        at = last if shell == "fish" else str(len(words) - 1)
        for name, value in ((VARIABLE, f"{shell}_complete"), ("COMP_CWORD", at)):
            monkeypatch.setenv(name, value)
        asked = [*before, last] if shell == "fish" else words
        monkeypatch.setenv("COMP_WORDS", ("\n" if shell == "bash" else " ").join(asked))
        with pytest.raises(SystemExit) as end:
            main([])
        assert end.value.code == 0
        out, err = capfd.readouterr()
        assert err == ""
        return out.splitlines()

    return call


@pytest.fixture
def values(complete):
    """Give what completes a line, and gives the words that are offered and no paths."""

    def call(line):
        answer = complete(line)
        rows = zip(answer[::3], answer[1::3], strict=False)
        return [value for kind, value in rows if kind == "plain"]

    return call


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mypt tr", ["train"]),
        ("mypt se", ["serve"]),
        ("mypt format ", ["validate", "migrate"]),
        ("mypt nonsense ", []),
        ("mypt nonsense tr", []),
        ("mypt --traceback nonsense --", []),
        ("mypt format nonsense ", []),
        ("mypt data prep", ["prepare"]),
        ("mypt train --model_n", ["--model_name"]),
        ("mypt train --model-n", ["--model-name"]),
        ("mypt train --model_name ", ["dante", "my model"]),
        ("mypt train --model-name da", ["dante"]),
        ("mypt train --model_name=da", ["--model_name=dante"]),
        ("mypt train --init_from_model d", ["dante"]),
        ("mypt generate d", ["dante"]),
        ("mypt validate x", []),
        ("mypt train --config_file modern/t", ["modern/tiny"]),
        ("mypt configs de", ["demo"]),
        ("mypt train --mlp_type sw", ["swiglu"]),
        ("mypt train --optimizer li", ["lion"]),
        ("mypt train --amp_dtype b", ["bf16"]),
        ("mypt data prepare x --tokenization c", ["char"]),
        ("mypt export dante --to g", ["gguf"]),
        ("mypt --disable_plugin al", ["alibi"]),
        ("mypt chat dante --chat_template ll", ["llama3"]),
    ],
)
def test_commands_options_and_values_are_completed(values, line, offered):
    assert values(line) == offered


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("mypt train --input_file in", "file"),
        ("mypt train --dataset_dir in", "dir"),
        ("mypt generate in", "file"),
        ("mypt list in", "dir"),
    ],
)
def test_paths_are_left_to_the_shell(complete, line, kind):
    assert complete(line)[:2] == [kind, "in"]
    assert f"{kind},in" in complete(line, "bash")


def test_bash_takes_a_value_after_an_equals_sign_for_a_word(complete):
    assert complete("mypt train --model_name=da", "bash") == ["plain,dante"]
    assert complete("mypt train --model_name=dante --amp_dtype b", "bash") == ["plain,bf16"]
    assert complete("mypt train --model_name=", "bash") == ["plain,dante", r"plain,my\ model"]


def test_zsh_and_fish_get_the_option_before_a_value_or_a_path(complete):
    assert complete("mypt train --model_name=da", "zsh")[1] == "--model_name=dante"
    assert complete("mypt train --model_name=da", "fish") == ["plain,--model_name=dante"]
    assert complete("mypt train --input_file=in", "fish") == ["plain,--input_file=input.txt"]
    assert complete("mypt train --dataset_dir=ch", "fish") == ["plain,--dataset_dir=checkpoints/"]


def test_there_are_no_models_in_an_empty_folder(values, folder, monkeypatch):
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    assert values("mypt generate ") == []


def test_help_beside_a_word_is_one_short_line(complete):
    answer = complete("mypt train --")
    help_texts = answer[2::3]
    assert len(help_texts) > 100
    assert max(map(len, help_texts)) <= 83


def test_nothing_of_torch_is_imported_while_completing(folder):
    program = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules));"
        "from mypt.cli.main import main; main([])"
    )
    asked = {VARIABLE: "bash_complete", "COMP_WORDS": "mypt\ntrain\n--optimizer\nada"}
    environment = {**os.environ, **asked, "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["plain,adamw", "plain,adafactor", "False"]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_mypt_reports_never_gets_into_the_prompt(shell):
    assert "2>/dev/null" in make_script(shell, mypt_group)


@pytest.fixture
def environment(tmp_path_factory):
    """Give the environment of a shell that finds this `mypt`, and nobody's settings."""
    home, command = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bin") / "mypt"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mypt "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    root = str(Path(__file__).resolve().parents[3])
    return {
        **os.environ,
        "PATH": path,
        "HOME": str(home),
        "PYTHONPATH": root,
        "TERM": "dumb",
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def typed(folder, environment):
    """Give what types into an interactive shell, and waits for what it should show then."""
    opened = []

    def begin(words, setup):
        number, terminal = pty.fork()
        if number == 0:
            os.chdir(folder)
            os.execvpe(words[0], words, environment)
        opened.append((number, terminal))
        os.write(terminal, f"{setup}; echo rea''dy\n".encode())
        wait_for(terminal, "ready")

        def call(keys, wanted):
            os.write(terminal, keys.encode())
            return wait_for(terminal, wanted)

        return call

    yield begin
    for number, terminal in opened:
        os.kill(number, 9)
        os.waitpid(number, 0)
        os.close(terminal)


def wait_for(terminal, wanted):
    """Read from a terminal until it shows a text; give all of it."""
    shown, end = "", time.monotonic() + PATIENCE_S
    while wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"{wanted!r} was not shown: {shown!r}"
        shown += os.read(terminal, 4096).decode(errors="replace").replace("\x07", "")
    return shown


def need(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


def test_bash_completes(typed):
    need("bash")
    bash = typed(["bash", "--norc", "-i"], 'PS1="> "; eval "$(mypt completion bash)"')
    bash("mypt tra\t", "train ")
    bash("--model_name=da\t", "dante ")
    bash("--input_file in\t", "input.txt ")
    assert "Traceback" not in bash("\x15mypt generate my\t", r"my\ model ")


def test_zsh_completes(typed):
    need("zsh")
    setup = 'PS1="> "; autoload -Uz compinit; compinit -u -D; eval "$(mypt completion zsh)"'
    zsh = typed(["zsh", "-f", "-i"], setup)
    zsh("mypt tra\t", "train")
    zsh(" --model_name=da\t", "--model_name=dante")
    zsh(" --input_file=in\t", "input.txt")
    assert "Traceback" not in zsh("\x15mypt generate my\t", r"my\ model")


def test_fish_completes(folder, environment):
    need("fish")
    lines = ("tra", "train --model_name=da", "generate my", "train --input_file=in")
    asked = "; ".join(f"complete -C 'mypt {line}'" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"mypt completion fish | source; {asked}"],
        env=environment, cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert words == ["train", "--model_name=dante", "my model", "--input_file=input.txt"]
    assert done.stderr == ""


def test_a_mypt_that_is_gone_leaves_the_prompt_alone(typed, environment):
    need("bash")
    bash = typed(["bash", "--norc", "-i"], 'PS1="> "; eval "$(mypt completion bash)"')
    bash("PATH=/bin; clear; echo go''ne\n", "gone")
    assert "No such file" not in bash("mypt tra\tx", "trax")
