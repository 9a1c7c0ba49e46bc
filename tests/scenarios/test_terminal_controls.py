"""Text of a model or a file reaches a terminal without control characters, a pipe with them."""

import io
import json
import os
import re
import subprocess
import sys

import pytest

import mypt
from mypt.tokenizers.char import CharTokenizer

EVIL = "\x1b]0;title\x07\x1b[31m\x9b2J\u202egold\r"
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ROOM = {"block_size": 8, "n_embd": 8, "n_head": 1, "n_layer": 1}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Run a command on a terminal; gives its exit code and all that it printed."""
    from mypt.cli.main import mypt_group, run

    monkeypatch.setenv("TERM", "dumb")  # rich sends none of its own sequences there

    def call(*arguments):
        both = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", both)
            patched.setattr(sys, "stderr", both)
            code = run(mypt_group, "mypt", [str(word) for word in arguments])
        return code, both.getvalue()

    return call


@pytest.fixture
def evil(in_tmp):
    """A model whose vocabulary has the characters of sequences, in two folders."""
    tokenizer = CharTokenizer(tuple(sorted({*EVIL, "\n", "\t", "a"})))
    config = mypt.GPTConfig(**ROOM, vocab_size=tokenizer.vocab_size)
    model = mypt.GPT(config, tokenizer)
    for name in ("evil", "other"):
        model.save(f"checkpoints/{name}")
    (in_tmp / "evil.txt").write_text(EVIL * 20, encoding="utf-8")
    return "evil"


GENERATE = ("generate", "evil", "--max_new_tokens", "9", "--seed", "1", "--device", "cpu")


@pytest.mark.parametrize(
    "arguments",
    [
        (*GENERATE, "--prompt", EVIL),
        (*GENERATE, "--prompt", EVIL, "--samples", "2"),
        (*GENERATE, "--prompt", EVIL, "--json"),
        ("generate", "evil", "--prompt", "\x9a"),
        ("inspect", "evil"),
        ("inspect", "evil", "--json"),
        ("compare", "evil", "other", "--prompt", EVIL, "--max_new_tokens", "9", "--seed", "1"),
        ("compare", "evil", "other", "--prompt", EVIL, "--seed", "1", "--json"),
        ("generate", f"no{EVIL}"),
        ("generate", "evil", f"--{EVIL}"),
        (EVIL,),
    ],
)
def test_a_terminal_gets_no_control_characters(terminal, cli, evil, arguments):
    code, shown = terminal(*arguments)
    assert not CONTROLS.search(shown)
    assert "\\u001b" in shown or "\\x1b" in shown or "\\x9a" in shown  # the latter of `repr`
    piped = cli(*arguments)
    assert code == piped[0]
    if "--json" in arguments:
        assert json.loads(shown) == json.loads(piped[1])


def test_interactive_text_is_shown_without_them(terminal, evil, monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.StringIO(f"{EVIL[:-1]}\n/more\n/stop {EVIL[:-1]}\n/{EVIL[:-1]}\n")
    )
    code, shown = terminal("generate", "evil", "--interactive", "--max_new_tokens", "5")
    assert code == 0
    assert not CONTROLS.search(shown)
    assert shown.count("\\u001b") >= 4


def test_a_pipe_gets_each_character(cli, evil):
    for more in ((), ("--samples", "2")):
        code, out, _ = cli(*GENERATE, "--prompt", EVIL, *more)
        assert code == 0
        assert out.startswith(EVIL)
        texts = list(mypt.load(evil).generate_many([EVIL], 9, seed=1, samples=len(more) or 1))
        assert out == "\n---\n".join(one.prompt + one.text for one in texts) + "\n"


def test_presets_and_runs_are_shown_without_them(terminal, cli, evil, in_tmp):
    preset = {**ROOM, "vocab_size": 50, "name": EVIL, "description": EVIL}
    (in_tmp / "mine.json").write_text(json.dumps(preset))
    code, shown = terminal("configs", "mine.json")
    assert code == 0
    assert not CONTROLS.search(shown)
    sets = json.dumps({"x\x1b[31m": "evil.txt"})
    flags = ("--max_iters", "2", "--eval_iters", "1", "--eval_interval", "1", "--device", "cpu")
    shape = [word for name, value in ROOM.items() for word in (f"--{name}", value)]
    train = ("--model_name", "run", "--input_file", "evil.txt", "--tokenization", "char")
    code, shown = terminal("train", *train, "--eval_sets", sets, *flags, *shape)
    assert code == 1
    assert not CONTROLS.search(shown)
    assert "`x\\u001b[31m` is no name" in shown
    code, shown = terminal("train", *train, *flags, *shape)
    assert code == 0, shown
    assert not CONTROLS.search(shown)
    code, shown = terminal("plot", "run")
    assert code == 0, shown
    assert not CONTROLS.search(shown)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_real_terminal_gets_a_stream_without_them(evil):
    main, terminal = os.openpty()
    command = [sys.executable, "-m", "mypt", *GENERATE, "--prompt", EVIL]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, check=False)
    os.close(terminal)
    shown = os.read(main, 10_000).decode()
    os.close(main)
    assert done.returncode == 0, done.stderr
    assert "\\u001b]0;title\\u0007\\u001b[31m\\u009b2J\\u202egold\\r" in shown
    assert not CONTROLS.search(shown.replace("\r\n", "\n"))
