"""Runs that are hard to draw, in every kind of drawing."""

import math

import pytest

from mypt.plotting.chart import chart_of
from mypt.plotting.html_page import html_page
from mypt.plotting.image import save_image
from mypt.plotting.run import LoggedEvaluation
from mypt.plotting.terminal import terminal_lines
from tests.support.plotted_runs import Page, run_of


@pytest.mark.parametrize(
    "losses", [[1.0], [math.nan], [2.0, 2.0], [math.nan, 1, math.nan], [3e38, 0]]
)
@pytest.mark.parametrize("count", [1, 3])
def test_odd_runs_are_drawn_all_the_same(losses, count, tmp_path):
    evaluations = tuple(
        LoggedEvaluation(step=step, tokens=None, lr=None, losses={"val": loss})
        for step, loss in enumerate(losses)
    )
    runs = [run_of(f"run {n}", evaluations=evaluations, gold=()) for n in range(count)]
    chart = chart_of(runs)
    assert terminal_lines(chart, 60)
    assert Page(html_page(chart, runs)).tags("svg")
    save_image(chart, tmp_path / "odd.svg")
    assert "nan" not in html_page(chart, runs).lower().replace("not finite", "")
