import io
import sys
from types import SimpleNamespace

import click
import pytest

from mypt.cli.generation.prompts import Prompt, check_prompts, check_stdin, read_prompts
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins


def test_a_line_break_at_the_end_of_a_file_is_not_part_of_a_prompt(tmp_path):
    one, several = tmp_path / "one.txt", tmp_path / "several.txt"
    one.write_bytes(b"a\nb\r\n")
    several.write_bytes(b"c\r\nd\n\ne\n")
    found = list(read_prompts(["x"], [str(one)], [str(several)]))
    assert [prompt.text for prompt in found] == ["x", "a\nb", "c", "d", "", "e"]
    assert [prompt.line for prompt in found] == [1, 1, 1, 2, 3, 4]
    assert [prompt.source for prompt in found[:2]] == ["--prompt", str(one)]


def test_a_dash_is_the_standard_input_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb\n")))
    assert [prompt.source for prompt in read_prompts([], [], ["-"])] == ["stdin", "stdin"]
    with pytest.raises(click.UsageError, match="only once"):
        check_stdin(["-", "file", "-"])


def test_every_prompt_that_cannot_be_encoded_is_named_by_file_and_line():
    tokenizer = load_plugins().tokenizer("char").train("abc")
    prompts = [Prompt("abc"), Prompt("abx", "list.txt", 3), Prompt("y", "list.txt", 4)]
    with pytest.raises(DataError) as refused:
        check_prompts(prompts, tokenizer)
    said = str(refused.value).splitlines()
    assert len(said) == 2
    assert said[0].startswith("list.txt line 3, column 3: ")
    assert said[1].startswith("list.txt line 4, column 1: ")
