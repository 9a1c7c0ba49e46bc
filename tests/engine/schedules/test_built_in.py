"""The built-in schedules, by the kit and at their corners."""

import pytest

import mypt.engine.plugin
from mypt.engine.schedules.built_in import find_decay_step
from mypt.format.documents.training import TrainingConfig
from mypt.testing import check_schedule

FACTORIES = {factory.name: factory for factory in mypt.engine.plugin.mypt_schedules()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in FACTORIES),
        *(("wsd", {"decay": form, "decay_iters": 33}) for form in ("linear", "cosine", "sqrt")),
    ],
)
def test_the_kit_finds_nothing_wrong(name, options):
    factors = check_schedule(FACTORIES[name], options)
    assert factors == sorted(factors, reverse=True)
    assert (factors[0], factors[-1]) == (1.0, float(name == "constant"))


@pytest.mark.parametrize(
    ("max_iters", "warmup", "decay", "begin"),
    [
        (1000, 0, None, 800),
        (1000, 0, 0.5, 500),
        (1000, 100, 300, 700),
        (1000, 900, 300, 900),  # the warm-up goes before
        (1000, 0.95, 0.2, 950),
        (100, 0, 1000, 0),
        (3, 0, 0.2, 3),
    ],
)
def test_the_decay_ends_at_the_last_update(max_iters, warmup, decay, begin):
    options = {} if decay is None else {"decay_iters": decay}
    training = TrainingConfig(max_iters=max_iters, warmup_iters=warmup, lr_schedule_options=options)
    assert find_decay_step(training) == begin
