"""What becomes of a command whose standard output cannot be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mypt.cli.standard_output import optional_output
from tests.cli.commands.test_train import BRIEF, SMALL

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
LOST = "standard output cannot be written"


def mypt(*words, stdout, unbuffered):
    """Run a command in a process of its own; its exit at Python's end counts too."""
    command = [sys.executable, "-m", "mypt", *map(str, words)]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    env |= {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    pipe = subprocess.PIPE
    return subprocess.run(command, stdout=stdout, stderr=pipe, text=True, check=False, env=env)


def on_full_disk(*words, unbuffered=False):
    with FULL.open("w") as full:
        return mypt(*words, stdout=full, unbuffered=unbuffered)


@pytest.fixture
def input_file(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return "input.txt"


@needs_full
def test_a_run_goes_on_without_its_output(input_file, in_tmp):
    flags = ("--model_name", "cat", "--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "4")
    ended = on_full_disk("train", *flags)
    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"warning: {LOST} (No space left on device)")
    state = json.loads((in_tmp / "checkpoints" / "cat" / "training_state.json").read_text())
    assert state["step"] == 4
    assert on_full_disk("train", *flags).returncode == 0  # nothing to do


def test_a_run_goes_on_when_the_reader_of_its_output_leaves(input_file, in_tmp):
    flags = ("--model_name", "cat", "--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "30")
    command = [sys.executable, "-m", "mypt", "train", *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:
        assert process.stdout.readline().startswith("Data: ")
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err.count("\n") == 1
    assert err.startswith(f"warning: {LOST} (Broken pipe)")
    assert (in_tmp / "checkpoints" / "cat_fp16").is_dir()


@needs_full
@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("configs",),
        ("inspect", "--model_name", "made"),
        ("generate", "--model_name", "made", "--prompt", "the", "--max_new_tokens", "3"),
    ],
)
def test_a_command_whose_output_is_lost_fails_with_one_line(words, in_tmp, saved_bundle):
    ended = on_full_disk(*words, unbuffered=words == ("configs",))
    assert ended.returncode == 1
    assert ended.stderr == (f"error: {LOST}: No space left on device; write it somewhere else\n")


@needs_full
def test_an_error_stays_the_one_line_of_a_command_without_output(in_tmp):
    ended = on_full_disk("inspect", "--model_name", "nothing")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert LOST not in ended.stderr


@needs_full
def test_files_that_were_made_are_a_success(input_file, in_tmp, saved_bundle):
    for words in (
        ("data", "prepare", input_file, "--output", "shards", "--tokenization", "char"),
        ("plugins", "new", "mypt-own"),
        ("format", "migrate", "made"),
    ):
        ended = on_full_disk(*words)
        assert (ended.returncode, ended.stderr.count("\n")) == (0, 1), ended.stderr
        assert ended.stderr.startswith("warning: ")
    assert (in_tmp / "shards" / "train").is_dir()
    assert (in_tmp / "mypt-own").is_dir()


@pytest.fixture
def saved_bundle(in_tmp, text):
    import mypt as library

    tokenizer = library.load_plugins().tokenizer("char").train(text)
    config = library.GPTConfig(
        n_layer=1, n_head=1, n_embd=8, block_size=8, vocab_size=tokenizer.vocab_size
    )
    library.GPT(config, tokenizer).save(in_tmp / "made")


def test_output_that_was_closed_from_the_start_is_not_missed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with optional_output():
        click.echo("to nobody")


def test_output_that_can_be_written_arrives(capsys):
    with optional_output():
        click.echo("said")
    assert capsys.readouterr() == ("said\n", "")
