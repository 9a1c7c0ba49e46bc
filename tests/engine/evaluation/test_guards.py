import math

import pytest

from mypt.engine.evaluation.guards import overfit_guard, regression_guard, trend_guard
from mypt.plugins import Evaluation


def losses(guard, values):
    memory, reasons = {}, []
    for step, val in enumerate(values):
        verdict = guard(Evaluation(step=step, train_loss=1.0, val_loss=val), memory)
        memory = verdict.memory
        reasons.append(verdict.reason)
    return reasons


def test_the_overfit_guard_blocks_above_five_times():
    guard = overfit_guard({})
    assert guard(Evaluation(step=1, train_loss=0.1, val_loss=0.5), {}).reason is None
    reason = guard(Evaluation(step=1, train_loss=0.1, val_loss=0.62), {}).reason
    assert reason == "overfit: val/train=6.2x, threshold=5.0x"


def test_the_overfit_guard_takes_its_threshold_and_a_train_loss_of_zero():
    guard = overfit_guard({"max_ratio": 2.0})
    assert guard(Evaluation(step=1, train_loss=1.0, val_loss=2.5), {}).reason is not None
    assert guard(Evaluation(step=1, train_loss=0.0, val_loss=2.5), {}).reason is not None


def test_the_overfit_guard_blocks_a_train_loss_that_is_not_finite():
    for train in (math.nan, math.inf):
        evaluation = Evaluation(step=1, train_loss=train, val_loss=2.5)
        assert overfit_guard({})(evaluation, {}).reason == "overfit: val/train=infx, threshold=5.0x"


def test_the_trend_guard_blocks_the_evaluation_after_two_rises():
    assert losses(trend_guard({}), [3.0, 3.1, 3.2, 2.0, 1.9]) == [
        None,
        None,
        None,
        "trend: 2 consecutive val rises",
        None,
    ]


def test_one_rise_or_a_tie_does_not_trigger_the_trend_guard():
    assert losses(trend_guard({}), [3.0, 3.1, 2.0, 2.0, 2.0, 1.0]) == [None] * 6


def test_a_loss_that_is_not_finite_counts_as_a_rise():
    assert losses(trend_guard({}), [3.0, math.nan, math.inf, 2.0])[3] is not None


def test_the_trend_guard_takes_its_threshold():
    assert losses(trend_guard({"max_rises": 1}), [3.0, 3.1, 2.0])[2] is not None


def judge_sets(guard, *evaluations):
    memory, reasons = {}, []
    for step, sets in enumerate(evaluations):
        evaluation = Evaluation(step=step, train_loss=1.0, val_loss=1.0, eval_losses=sets)
        verdict = guard(evaluation, memory)
        memory = verdict.memory
        reasons.append(verdict.reason)
    return reasons


def test_the_regression_guard_compares_with_the_first_evaluation():
    reasons = judge_sets(
        regression_guard({}),
        {"general": 2.0, "code": 3.0},
        {"general": 2.39, "code": 2.0},
        {"general": 2.5, "code": 2.9},
    )
    assert reasons[:2] == [None, None]
    assert reasons[2] == "eval regression: general 2.0000→2.5000 (+25%, threshold=20%)"


def test_a_set_that_appears_later_gets_its_own_baseline():
    guard = regression_guard({"max_regression": 0.1})
    assert judge_sets(guard, {}, {"new": 4.0}, {"new": 4.3}, {"new": 4.5})[3] is not None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_set_that_diverges_is_blocked(loss):
    said = judge_sets(regression_guard({}), {"a": loss}, {"a": 1.0}, {"a": loss})
    assert said == ["eval regression: a is not finite", None, "eval regression: a is not finite"]


def test_a_set_that_was_known_by_heart_may_not_be_forgotten():
    said = judge_sets(regression_guard({}), {"a": 0.0}, {"a": 0.0}, {"a": 0.1})
    assert said == [None, None, "eval regression: a 0.0000→0.1000 (+inf%, threshold=20%)"]
