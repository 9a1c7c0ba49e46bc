import math

import pytest

from mypt.plotting.chart import chart_of
from mypt.plotting.glyphs import ASCII
from mypt.plotting.html_page import html_page
from mypt.plotting.run import LoggedEvaluation, Run
from mypt.plotting.terminal import terminal_lines
from tests.support.plotted_runs import run_of, two_points


def join_plain_lines(lines):
    """Give the lines without colours."""
    return "\n".join(line.plain.rstrip() for line in lines)


def text_of(run, **options):
    return join_plain_lines(
        terminal_lines(chart_of([run] if isinstance(run, Run) else run, **options), 100)
    )


def test_a_terminal_shows_names_values_marks_phases_and_ticks():
    text = text_of(run_of())
    for word in ("loss (nats per token)", "learning rate", "easy", "hard", "steps", "gold blocked"):
        assert word in text
    for legend in ("val 2", "train 1.4", "code 3.889", "learning rate 1.0e-1"):
        assert legend in text
    assert text.count("\u25c6") == text.count("\u00d7") == 2  # the mark and its legend
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("losses", "goes_down"), [((5.0, 1.0), True), ((1.0, 5.0), False)])
def test_a_line_of_the_terminal_goes_where_its_values_go(losses, goes_down):
    run = run_of(gold=(), phases=(), evaluations=two_points(*losses))
    rows = [line for line in text_of(run).splitlines() if line[9:10] in ("\u2502", "\u2524")]
    dots = [row for row, line in enumerate(rows) if any(c > "\u2800" for c in line)]
    begin = next(row for row, line in enumerate(rows) if line[10:11] > "\u2800")
    assert begin == (dots[0] if goes_down else dots[-1])
    assert len(dots) > 10


def test_a_run_that_ends_in_nan_says_so():
    last = LoggedEvaluation(step=200, tokens=1, lr=0.1, losses={"val": math.nan})
    run = run_of(evaluations=(*run_of().evaluations, last))
    assert "val not finite" in text_of(run)
    assert "val not finite" in html_page(chart_of([run]), [run])


def test_a_terminal_without_unicode_gets_ascii():
    run = run_of("a-very-long-name-of-a-model-that-does-not-fit")
    text = join_plain_lines(terminal_lines(chart_of([run, run_of()]), 100, ASCII))
    assert text.isascii()
    for word in ("* ..", ". cat val", "G gold", "x gold blocked", "hard"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_line_that_comes_from_above_enters_at_the_top():
    first = LoggedEvaluation(step=0, tokens=0, lr=None, losses={"val": 90.0})
    run = run_of(evaluations=(first, *run_of().evaluations[1:]), gold=(), phases=())
    rows = [line[10:] for line in text_of(run).splitlines() if line[9:10] in ("\u2502", "\u2524")]
    columns = [row.find(next(filter("\u2800".__lt__, row), "!")) for row in rows[:16]]
    assert "above, at step 0: val 90" in text_of(run)
    assert min(column for column in columns if column >= 0) > 3
