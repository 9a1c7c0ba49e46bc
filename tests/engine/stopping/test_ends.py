"""Which limits a state has reached, and what is remembered of evaluations."""

import math

import pytest
from attrs import evolve

from mypt.engine.stopping.ends import is_finished, list_ends, note_evaluation, take_settings
from mypt.format.documents.training import (
    Decision,
    GoldMemory,
    StopMemory,
    TrainingConfig,
    TrainingState,
)


def evaluated(step, loss, *, without=0, **fields):
    """Return a state that was evaluated at its step."""
    decision = Decision(step=step, promoted=False, reasons=())
    return TrainingState(
        step=step,
        gold=GoldMemory(decision=decision),
        stopping=StopMemory(step=step, loss=loss, lowest_loss=1.0, evals_without_gain=without),
        **fields,
    )


def reached(state, **limits):
    state = evolve(state, training_config=TrainingConfig(max_iters=100, **limits))
    return [end.field for end in list_ends(state)]


@pytest.mark.parametrize(
    ("losses", "lowest", "without"),
    [
        ([3.0], 3.0, 0),
        ([3.0, 2.0, 2.5, 2.25], 2.0, 2),
        ([3.0, 2.0, 2.0], 2.0, 1),  # of equal ones the earlier counts
        ([3.0, math.nan, math.inf], 3.0, 2),
        ([math.nan, math.nan, 2.0], 2.0, 0),
        ([math.nan], None, 1),
    ],
)
def test_evaluations_without_gain_are_counted_in_a_row(losses, lowest, without):
    memory = None
    for step, loss in enumerate(losses):
        memory = note_evaluation(memory, step, loss)
    assert (memory.lowest_loss, memory.evals_without_gain) == (lowest, without)
    assert memory.loss == (losses[-1] if math.isfinite(losses[-1]) else None)


def test_an_evaluation_of_the_same_step_again_counts_once():
    memory = note_evaluation(note_evaluation(None, 0, 2.0), 5, 3.0)
    assert note_evaluation(memory, 5, 3.0) == memory


def test_each_limit_is_reached_at_its_value_and_not_before():
    state = evaluated(7, 1.5, without=2, tokens_processed=99, elapsed_s=59.9)
    assert reached(state, target_loss=1.49, stop_after_evals_without_gain=3) == []
    assert reached(state, max_tokens=100, max_minutes=1.0) == []
    assert reached(state, target_loss=1.5) == ["target_loss"]
    assert reached(state, stop_after_evals_without_gain=2) == ["stop_after_evals_without_gain"]
    assert reached(state, stop_after_evals_without_gain=1) == ["stop_after_evals_without_gain"]
    assert reached(evolve(state, tokens_processed=100), max_tokens=100) == ["max_tokens"]
    assert reached(evolve(state, elapsed_s=60.0), max_minutes=1.0) == ["max_minutes"]


def test_losses_end_a_run_at_the_step_of_their_evaluation_alone():
    later = evolve(evaluated(7, 1.5, without=9), step=8)
    assert reached(later, target_loss=2.0, stop_after_evals_without_gain=1) == []


def test_a_loss_that_is_not_finite_is_no_target_reached():
    assert reached(evaluated(7, None), target_loss=99.0) == []


def test_a_run_is_finished_once_the_step_of_the_limit_is_evaluated():
    done = evaluated(7, 1.5, tokens_processed=100)
    done = evolve(done, training_config=TrainingConfig(max_iters=100, max_tokens=100))
    assert is_finished(done)
    assert not is_finished(evolve(done, step=8))  # evaluated at 7
    assert not is_finished(evolve(done, training_config=TrainingConfig(max_iters=100)))
    assert is_finished(evolve(done, step=101))  # beyond what is asked, evaluated or not


@pytest.mark.parametrize("field", ["max_minutes", "max_tokens", "target_loss"])
def test_with_the_further_limit_the_run_goes_on(field):
    state = evaluated(7, 1.5, without=3, tokens_processed=101, elapsed_s=90.0)
    limits = {"max_minutes": 1.0, "max_tokens": 100, "target_loss": 1.5}
    state = evolve(state, training_config=TrainingConfig(**{field: limits[field]}))
    (end,) = list_ends(state)
    value = type(limits[field])(end.further)
    assert not is_finished(evolve(state, training_config=TrainingConfig(**{field: value})))


def test_another_measure_of_losses_forgets_those_before():
    saved = evaluated(7, 1.5, training_config=TrainingConfig(target_loss=2.0))
    assert take_settings(saved, saved.training_config).stopping == saved.stopping
    other = evolve(saved.training_config, gold_metric={"val": 1.0})
    assert take_settings(saved, other).stopping is None
