import io
import sys

import pytest

from mypt.cli.commands import data_progress
from mypt.cli.commands.data_progress import show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        (None, "1 of 4 MB, 25 %\n"),
        ("conversations", "1,000,000 of 4,000,000 conversations, 25 %\n"),
    ],
)
def test_a_pipe_gets_a_line_now_and_then(noun, said, monkeypatch, capsys):
    with show_progress(noun) as report:
        report(0, 4_000_000)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(data_progress, "_SECONDS_BETWEEN_LINES", 0)
    with show_progress(noun) as report:
        report(1_000_000, 4_000_000)
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("noun", [None, "conversations"])
def test_a_terminal_gets_a_bar_that_goes_away(noun, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with show_progress(noun) as report:
        report(1, 4)
    shown = sys.stderr.getvalue()
    assert "\x1b[" in shown
    assert ("conversations" in shown) == (noun is not None)
