"""The figures of a step, by a clock of the test; scenarios/test_run_events.py has those of runs."""

import pytest
import torch
from attrs import evolve

import mypt
from mypt.engine.logging import step_meter
from mypt.engine.logging.step_meter import StepMeter
from mypt.engine.runtime.world import ALONE
from mypt.format.documents.training import TrainingConfig, TrainingState

TOKENS = 100


class Clock:
    def __init__(self):
        self.now = 10.0

    def __call__(self):
        return self.now


class TwoAlike:
    """Two processes, of which the other has the same values."""

    size = 2

    def total(self, values):
        return 2 * values


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def model():
    return mypt.GPT(
        mypt.GPTConfig(n_layer=1, n_head=1, n_embd=8, block_size=8, vocab_size=16, batch_size=2)
    )


def meter_of(model, clock, world=ALONE, interval=2):
    training = TrainingConfig(log_interval=interval, max_iters=100)
    state = TrainingState(step=0, training_config=training)
    return StepMeter(model, state, world, lambda: clock.now - 10, clock), state


def drive(meter, state, clock, steps, seconds=1.0, loss=2.0, norm=0.5):
    """Give the events of some updates, each of which takes so many seconds."""
    found = []
    for step in steps:
        meter.begin()
        clock.now += seconds
        state = evolve(state, step=step, tokens_processed=TOKENS * step)
        values = torch.tensor(loss), torch.tensor(norm)
        found.append(meter.measure(state, 0.1, *values))
    return [event for event in found if event is not None]


def test_the_pace_is_that_since_the_step_before(model, clock):
    meter, state = meter_of(model, clock)
    first, second = drive(meter, state, clock, [1, 2, 3, 4])
    assert (first.iter, first.tokens_per_sec, first.elapsed_s) == (2, 100, 2.0)
    (third,) = drive(meter, state, clock, [5, 6], seconds=0.5)
    assert (third.iter, third.tokens_per_sec) == (6, 200)
    assert second.tokens_processed == 400


def test_pauses_do_not_count(model, clock):
    meter, state = meter_of(model, clock)
    drive(meter, state, clock, [1])
    with meter.pause():
        clock.now += 50
    (event,) = drive(meter, state, clock, [2])
    assert event.tokens_per_sec == 100


def test_several_processes_have_one_loss_and_the_memory_of_all(model, clock, monkeypatch):
    monkeypatch.setattr(step_meter, "resident_bytes", lambda: 1000)
    meter, state = meter_of(model, clock, TwoAlike())
    (event,) = drive(meter, state, clock, [1, 2])
    assert (event.train_loss, event.memory_bytes, event.grad_norm) == (2.0, 2000, 0.5)


def test_the_share_of_the_peak_counts_all_devices(model, clock, monkeypatch):
    monkeypatch.setattr(step_meter, "flops_per_token", lambda model: 1000)
    monkeypatch.setattr(step_meter, "peak_flops", lambda device, training: 200_000.0)
    for world, share in ((ALONE, 0.5), (TwoAlike(), 0.25)):
        meter, state = meter_of(model, clock, world)
        (event,) = drive(meter, state, clock, [1, 2])
        assert event.mfu == share


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_none(value, model, clock):
    meter, state = meter_of(model, clock)
    (event,) = drive(meter, state, clock, [1, 2], loss=value, norm=value)
    assert (event.train_loss, event.grad_norm) == (None, None)


def test_of_a_gpu_the_values_come_an_update_late_or_when_they_are_asked_for(model, clock):
    meter, state = meter_of(model, clock)
    meter._device = torch.device("cuda")
    meter._count_memory = lambda: 1
    assert drive(meter, state, clock, [1, 2]) == []
    (event,) = drive(meter, state, clock, [3])
    assert event.iter == 2
    drive(meter, state, clock, [4])
    assert meter.collect().iter == 4
    assert meter.collect() is None
