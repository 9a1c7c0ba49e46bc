import io
import sys

import pytest

from mypt.cli.generation.lines import keep_history, read_line


def test_a_line_from_a_pipe_has_no_mark_and_may_go_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\\\ntwo\nthree\n"))
    with keep_history():
        assert [read_line(), read_line(begun="four")] == ["one\ntwo", "three"]
        with pytest.raises(EOFError):
            read_line()
    assert capsys.readouterr().out == ""
