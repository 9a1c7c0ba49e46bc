import math

import pytest
from attrs import evolve

from mypt.format.errors import UsageError
from mypt.plotting.chart import chart_of, ticks
from mypt.plotting.read_log import read_log
from mypt.plotting.run import LoggedPhase, LoggedStep
from tests.support.plotted_runs import run_of, two_points


def test_a_chart_has_a_line_for_each_loss_and_one_for_the_learning_rate():
    losses, rate = chart_of([run_of()]).panels
    assert [line.label for line in losses.lines] == ["val", "train", "code"]
    assert len({line.colour for line in losses.lines}) == 3
    assert losses.lines[0].points[1] == (10, 3.8)
    assert rate.lines[0].points[1] == (10, 0.001 * 11)
    assert [(mark.x, mark.y, mark.gold) for mark in losses.marks] == [
        (10, 3.8, True),
        (50, 3, False),
    ]
    assert "overfit" in losses.marks[1].text


def test_several_runs_have_a_colour_each_and_one_pattern_for_each_loss():
    lines = chart_of([run_of("cat"), run_of("dog", steps=(0, 5))]).panels[0].lines
    assert [line.label for line in lines[::3]] == ["cat val", "dog val"]
    assert [line.colour for line in lines] == [0, 0, 0, 1, 1, 1]
    assert [line.dash for line in lines] == [0, 1, 2, 0, 1, 2]
    dog = run_of("dog", evaluations=two_points(3, 2, name="code"))
    lines = chart_of([run_of("cat"), dog]).panels[0].lines
    assert [line.dash for line in lines] == [0, 1, 2, 0, 2]


def test_x_counts_tokens_where_that_is_asked_for():
    chart = chart_of([run_of()], "tokens")
    assert chart.x_range == (0, 6400)
    assert chart.panels[0].marks[1].x == 3200
    assert [boundary.x for boundary in chart.boundaries] == [0, 3840]


def test_a_log_that_counts_no_tokens_is_not_drawn_by_tokens(fixtures):
    (run,) = read_log(fixtures / "mypt" / "logs" / "fused_simple.jsonl")
    with pytest.raises(UsageError, match="does not count tokens"):
        chart_of([run], "tokens")
    assert len(chart_of([run]).panels) == 1  # it knows no learning rate


def test_phases_that_runs_do_not_share_say_whose_they_are():
    names = [b.name for b in chart_of([run_of("cat"), run_of("dog", phases=())]).boundaries]
    assert names == ["cat: easy", "cat: hard"]
    assert [b.name for b in chart_of([run_of("cat"), run_of("dog")]).boundaries] == ["easy", "hard"]


@pytest.mark.parametrize(
    ("shown", "about", "wanted"),
    [
        ((0, 100), 5, [0, 20, 40, 60, 80, 100]),
        ((-1, 1), 4, [-1, -0.5, 0, 0.5, 1]),
        ((3, 7), 2, [4, 6]),
    ],
)
def test_ticks_are_round_numbers(shown, about, wanted):
    assert ticks(shown, about) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "shown", [(0, 1e-36), (-3e38, 3e38), (5, 5.000001), (0, 2**53), (0.1, 0.3)]
)
@pytest.mark.parametrize("about", [1, 2, 5, 8])
def test_any_range_has_few_ticks_within_it(shown, about):
    found = ticks(shown, about)
    span = shown[1] - shown[0]
    assert len(found) <= 2 * about + 2
    assert all(shown[0] - 1e-6 * span <= tick <= shown[1] + 1e-6 * span for tick in found)


def test_a_phase_that_begins_after_the_last_evaluation_is_shown():
    chart = chart_of([run_of(phases=(LoggedPhase(step=150, name="late"),))])
    assert chart.x_range == (0, 150)


def untrained_run(steps=range(0, 101, 10)):
    """Losses of 3.1 ... 2.9 after an untrained model's 10.8."""
    run = run_of(steps=steps, phases=())
    losses = [10.8, *(3.1 - step / 500 for step in steps[1:])]
    evaluations = zip(run.evaluations, losses, strict=True)
    return evolve(run, evaluations=tuple(evolve(e, losses={"val": y}) for e, y in evaluations))


def test_an_untrained_model_does_not_set_the_scale_of_the_losses():
    losses = chart_of([untrained_run()]).panels[0]
    assert losses.y_range[1] < 3.5
    assert losses.note == "above, at step 0: val 10.8"
    assert losses.lines[0].points[0] == (0, 10.8)
    assert [mark.y for mark in losses.marks] == [3.0]


@pytest.mark.parametrize("steps", [(0, 10), (0, 10, 20)])
def test_of_few_evaluations_every_one_is_within_the_scale(steps):
    losses = chart_of([untrained_run(steps)]).panels[0]
    assert losses.y_range[1] > 10.8
    assert losses.note == ""


def test_a_hundred_thousand_evaluations_are_thinned_out():
    run = run_of(steps=range(100_000))
    gold = tuple(evolve(run.gold[0], step=step) for step in range(100_000))
    for axis in ("steps", "tokens"):
        panel = chart_of([evolve(run, gold=gold)], axis).panels[0]
        assert len(panel.marks) <= 500
        assert all(len(line.points) <= 4000 for line in panel.lines)
        assert panel.lines[0].last == run.evaluations[-1].losses["val"]


def updates(*steps, **fields):
    figures = {"loss": 3.5, "grad_norm": 1.5, "tokens_per_sec": 1200.0, **fields}
    return tuple(LoggedStep(step=step, **figures) for step in steps)


def test_the_figures_of_updates_have_panels_of_their_own_and_their_losses_are_with_the_losses():
    chart = chart_of([run_of(updates=updates(5, 15, 105))])
    titles = [panel.title for panel in chart.panels]
    assert titles[1:] == ["learning rate", "gradient norm", "tokens per second"]
    line = chart.panels[0].lines[-1]
    assert (line.label, line.points) == ("each step", ((5, 3.5), (15, 3.5), (105, 3.5)))
    assert line.colour not in {other.colour for other in chart.panels[0].lines[:-1]}
    assert chart.panels[2].lines[0].points[0] == (5, 1.5)
    assert chart.panels[3].format_y(1200.0) == "1.2K"
    assert chart.x_range == (0, 105)


def test_a_log_without_figures_of_updates_is_drawn_as_before():
    assert len(chart_of([run_of()]).panels) == 2
    unknown = updates(5, 15, grad_norm=math.nan)
    assert [panel.title for panel in chart_of([run_of(updates=unknown)]).panels][2:] == [
        "tokens per second"
    ]


def test_of_several_runs_each_that_has_them_has_its_colour():
    chart = chart_of([run_of("a"), run_of("b", updates=updates(5, 15))], "tokens")
    (norm,) = chart.panels[2].lines
    assert (norm.label, norm.colour, norm.points[0][0]) == ("b", 1, 320)
    assert chart.panels[0].lines[-1].label == "b each step"
