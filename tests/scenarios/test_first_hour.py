"""Mistakes of a first hour: each is answered with one line that names what exists and helps."""

import pickle
import re
import shutil

import click
import pytest

from mypt.cli.main import mypt_group
from mypt.cli.options.suggestions import list_commands, list_options

BEGIN = ("train", "--model_name", "new", "--input_file")
SMALL = ("--config_file", "demo", "--max_iters", "1", "--device", "cpu")
# What was typed, in a folder with the model `cat` and the texts, and what helps.
MISTAKES = [
    (("train",), "mypt train --model_name first"),
    (("train", "cat"), "--model_name cat"),
    (("train", "--model_name", "new"), "--input_file"),
    (("train", "--model_name", "cta"), "did you mean `cat`?"),
    (("train", "--model_nam", "new"), "--model_name"),
    (("train", "--resume"), "--model_name"),
    ((*BEGIN, "missing.txt", *SMALL), "check the path"),
    ((*BEGIN, "short.txt", *SMALL), "text"),
    ((*BEGIN, "empty.txt", *SMALL), "text"),
    ((*BEGIN, "picture.txt", *SMALL), "picture.txt"),
    ((*BEGIN, "input.txt", "--config_file", "dmo"), "did you mean `demo`?"),
    ((*BEGIN, "input.txt", *SMALL[:-1], "cuda:9"), "--device"),
    ((*BEGIN, "input.txt", *SMALL, "--n_head", "lots"), "--n_head"),
    ((*BEGIN, "input.txt", *SMALL, "--optimizer", "adm"), "adamw"),
    (("generate",), "mypt generate first"),
    (("generate", "cta"), "did you mean `cat`?"),
    (("generate", "cat", "--prompt", "é", "--max_new_tokens", "1"), "prompt"),
    (("generate", "evil.pt"), "evil.pt"),
    (("generate", "cat", "--device", "cuda:9"), "--device"),
    (("generate", "nowhere/cat"), "mypt list"),
    (("chat", "cat"), "chat"),
    (("inspect", "input.txt"), "input.txt"),
    (("inspect", "notes"), "notes"),
    (("plot", "notes"), "notes"),
    (("compare", "cat"), "at least two"),
    (("export", "cat"), "--to"),
    (("export", "cat", "--to", "onnx", "--output", "x"), "hf"),
    (("list", "nowhere"), "nowhere"),
    (("data", "prepare", "input.txt"), "--output"),
    (("data", "join"), "mypt data join data/part1 data/part2"),
    (("data", "inspect", "nowhere"), "nowhere"),
    (("format", "migrate", "notes"), "notes"),
    (("configs", "tny"), "did you mean `tiny`?"),
    (("trian",), "mypt train"),
    (("doctor", "cta"), "did you mean `cat`?"),
]


@pytest.fixture
def folder(in_tmp, bundle, text):
    """Make the folder of a beginner."""
    shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")
    (in_tmp / "input.txt").write_text(text[:4000])
    (in_tmp / "short.txt").write_text("ab")
    (in_tmp / "empty.txt").touch()
    (in_tmp / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe" * 99)
    (in_tmp / "notes").mkdir()
    (in_tmp / "evil.pt").write_bytes(pickle.dumps(print))
    return in_tmp


@pytest.fixture(scope="module")
def known():
    """Give the flags and the commands that there are."""
    found = dict(list_commands(mypt_group, click.Context(mypt_group, info_name="mypt")))
    flags = {name for command in found.values() for name in list_options(command)}
    return flags | {"help"}, found.keys()


@pytest.mark.parametrize(("typed", "helps"), MISTAKES)
def test_a_mistake_is_answered_with_what_helps(cli, folder, known, typed, helps):
    code, out, line = cli(*typed)
    assert code in {1, 2}, out
    assert line.startswith("error: ")
    assert line.count("\n") == 1, line
    assert helps in line
    assert "; " in line  # what is wrong; what to do
    flags, commands = known
    answer = line.partition("; ")[2]
    assert set(re.findall(r"--([a-z]\w+)", answer)) <= flags
    for name in re.findall(r"mypt ([a-z]+)", answer):
        assert any(command.split()[0] == name for command in commands), line


def test_a_resume_that_asks_for_another_architecture_says_how_to_get_one(cli, folder):
    code, out, _ = cli("train", "--model_name", "cat", *SMALL, "--n_layer", "9")
    assert code == 0, out
    (line,) = [line for line in out.splitlines() if line.startswith("--n_layer 9 is ignored")]
    assert line.endswith("; for a new model, choose another --model_name")
