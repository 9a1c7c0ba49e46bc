"""The one way by which commands print."""

import io
import sys
from pathlib import Path

import pytest

import mypt
from mypt.cli.terminal import echo

TEXT = "\x1b[31mred\x1b[0m\tü\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_terminal_gets_escapes_and_anything_else_the_text(monkeypatch, name):
    for stream, wanted in (
        (Terminal(), "\\u001b[31mred\\u001b[0m\tü\n"),
        (io.StringIO(), TEXT),
    ):
        monkeypatch.setattr(sys, name, stream)
        echo(TEXT, nl=False, err=name == "stderr")
        assert stream.getvalue() == wanted


def test_a_closed_stream_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    echo("x")


def test_no_command_prints_in_another_way():
    sources = (Path(mypt.__file__).parent / "cli").rglob("*.py")
    others = [p.name for p in sources if p.name != "terminal.py" and "click.echo" in p.read_text()]
    assert others == []
