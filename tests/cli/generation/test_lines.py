import io
import sys

import pytest

from mypt.cli.generation.lines import keep_history, read_line
from mypt.format.errors import DataError


def test_a_line_from_a_pipe_has_no_mark_and_may_go_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\\\ntwo\nthree\n"))
    with keep_history():
        assert [read_line(), read_line(begun="four")] == ["one\ntwo", "three"]
        with pytest.raises(EOFError):
            read_line()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_line_that_is_no_text_takes_no_other_with_it(monkeypatch, encoding):
    lines = b"caf\xe9\n" + "caf\u00e9\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines), encoding))
    with pytest.raises(DataError, match="the line is not UTF-8; write it as UTF-8"):
        read_line()
    assert read_line() == "caf\u00e9"
