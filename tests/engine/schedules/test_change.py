"""Which changes of schedules concern the updates to come alone."""

import pytest
from attrs import evolve

from mypt.engine.schedules.change import is_past_unchanged
from mypt.format.documents.training import BatchStretch, TrainingConfig
from mypt.plugins.manager import load_plugins

WSD = TrainingConfig(max_iters=1000, warmup_iters=50, lr_schedule="wsd")


def is_unchanged(before, after, step, plugins, peaks=(), **more):
    given = {"peaks": peaks or (after.learning_rate,), "is_decayed": True, **more}
    return is_past_unchanged(before, after, step, plugins, **given)


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.mark.parametrize(
    ("step", "changes", "is_same"),
    [
        (0, {"lr_schedule": "linear", "learning_rate": 1e-3, "grad_accum_steps": 2}, True),
        (800, {"max_iters": 2000}, True),
        (801, {"max_iters": 2000}, True),  # the update after 800 has the peak as well
        (802, {"max_iters": 2000}, False),
        (800, {"max_iters": 2000, "warmup_iters": 0.05}, False),
        (800, {"lr_schedule": "constant"}, True),
        (800, {"lr_schedule": "linear"}, False),
        (50, {"lr_schedule": "linear", "min_lr": 1e-5}, True),  # the warm-up is common to all
        (51, {"learning_rate": 1e-3}, False),
        (800, {"weight_decay_schedule": "linear"}, False),
        (800, {"grad_accum_steps": 2}, False),
        (800, {"batch_schedule": (BatchStretch(from_iter=800, grad_accum_steps=2),)}, True),
        (800, {"batch_schedule": (BatchStretch(from_iter=799, grad_accum_steps=2),)}, False),
        (800, {"lr_schedule": "nobodys"}, False),
    ],
)
def test_a_run_is_the_same_where_its_updates_would_have_been(step, changes, is_same, plugins):
    changed = evolve(WSD, **changes)
    assert is_unchanged(WSD, changed, step, plugins) is is_same
    assert is_unchanged(changed, WSD, step, plugins) is is_same


def test_a_group_with_a_peak_of_its_own_has_had_another_rate(plugins):
    was = evolve(WSD, warmup_iters=2, learning_rate=0.1)
    now = evolve(WSD, warmup_iters=4, learning_rate=0.2)
    assert is_unchanged(was, now, 1, plugins)
    assert not is_unchanged(was, now, 1, plugins, peaks=(0.2, 0.01))


def test_a_schedule_of_no_weight_decay_changes_nothing(plugins):
    falling = evolve(WSD, weight_decay_schedule="linear")
    longer = evolve(falling, max_iters=2000)
    assert is_unchanged(falling, longer, 700, plugins, is_decayed=False)
    assert not is_unchanged(falling, longer, 700, plugins)


def test_a_setting_that_was_not_recorded_may_have_been_any(plugins):
    unknown = evolve(WSD, absent=frozenset({"min_lr"}))
    assert not is_unchanged(unknown, WSD, 10, plugins)
