"""The learning rate is drawn as it was scheduled, where the log says how."""

import pytest
from attrs import evolve

from mypt.format.documents.training import TrainingConfig
from mypt.plotting import lr_curve as module
from mypt.plotting.chart import chart_of
from mypt.plotting.run import LoggedStart
from mypt.plugins.manager import load_plugins
from tests.support.plotted_runs import run_of
from tests.support.rates import learning_rate_at

SCHEDULE = TrainingConfig(learning_rate=0.01, warmup_iters=20, max_iters=100)
OTHER = evolve(SCHEDULE, max_iters=400)


def lr_curve(run):
    return module.lr_curve(module.find_schedules(run, load_plugins()))


def logged(run, schedule_of):
    return evolve(
        run,
        evaluations=tuple(
            evolve(e, lr=learning_rate_at(min(e.step, 99), schedule_of(e.step)))
            for e in run.evaluations
        ),
    )


def starts(*begins):
    return tuple(LoggedStart(step=step, training=training) for step, training in begins)


def test_between_two_evaluations_the_schedule_is_drawn():
    run = logged(run_of(steps=(0, 50, 100), starts=starts((0, SCHEDULE))), lambda _: SCHEDULE)
    curve = dict(lr_curve(run))
    assert list(curve) == list(range(101))
    assert curve[20] == pytest.approx(SCHEDULE.learning_rate)
    assert curve[77] == learning_rate_at(77, SCHEDULE)


def test_each_start_has_its_own_schedule():
    run = run_of(steps=(0, 20, 40, 60, 80), starts=starts((0, SCHEDULE), (41, OTHER)))
    curve = dict(lr_curve(logged(run, lambda step: SCHEDULE if step < 41 else OTHER)))
    assert curve[39] == learning_rate_at(39, SCHEDULE)
    assert curve[42] == learning_rate_at(42, OTHER)


@pytest.mark.parametrize("training", [None, OTHER])
def test_logged_rates_win_over_a_schedule_that_is_unknown_or_another(training):
    run = run_of(steps=(0, 50, 100), starts=starts((0, training)))
    run = logged(run, lambda _: SCHEDULE)
    assert lr_curve(run) == [(e.step, e.lr) for e in run.evaluations]


def test_a_long_run_has_no_more_points_than_a_screen_shows():
    training = evolve(SCHEDULE, max_iters=10**9)
    run = run_of(steps=(0, 10**9), starts=starts((0, training)))
    ends = tuple(
        evolve(e, lr=learning_rate_at(min(e.step, 10**9 - 1), training)) for e in run.evaluations
    )
    assert len(lr_curve(evolve(run, evaluations=ends))) < 600


def test_the_schedule_that_a_log_names_is_drawn():
    schedule = evolve(SCHEDULE, lr_schedule="wsd", min_lr=0.001)
    run = logged(run_of(steps=(0, 50, 90, 100), starts=starts((0, schedule))), lambda _: schedule)
    curve = dict(lr_curve(run))
    assert curve[70] == pytest.approx(0.01)
    assert curve[77] == learning_rate_at(77, schedule)


def test_a_schedule_of_a_plugin_that_is_gone_is_joined_from_the_log_and_said():
    gone = evolve(SCHEDULE, lr_schedule="acme_stairs")
    run = logged(run_of(steps=(0, 50, 100), starts=starts((0, gone))), lambda _: SCHEDULE)
    run = module.find_schedules(run, load_plugins())
    assert module.lr_curve(run) == [(e.step, e.lr) for e in run.evaluations]
    note = chart_of([run]).panels[1].note
    assert note == "no installed plugin offers acme_stairs: what was logged is joined"
