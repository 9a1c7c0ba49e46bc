import math

import pytest

from mypt.format.documents.training import TrainingConfig
from tests.support.rates import learning_rate_at


def test_warm_up_is_linear_and_reaches_the_peak():
    training = TrainingConfig(learning_rate=1.0, warmup_iters=4, max_iters=100)
    assert [learning_rate_at(step, training) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_cosine_ends_at_a_tenth():
    training = TrainingConfig(learning_rate=2.0, warmup_iters=10, max_iters=110)
    assert learning_rate_at(60, training) == pytest.approx(0.2 + 0.5 * 1.8)
    assert learning_rate_at(110, training) == pytest.approx(0.2)
    assert learning_rate_at(500, training) == pytest.approx(0.2)


def test_a_warm_up_below_one_is_a_fraction_of_max_iters():
    assert TrainingConfig(warmup_iters=0.05, max_iters=200).warmup_steps == 10
    assert TrainingConfig(warmup_iters=1, max_iters=200).warmup_steps == 1
    assert TrainingConfig(warmup_iters=1.0, max_iters=200).warmup_steps == 1


def test_the_schedule_is_that_of_mypt():
    # The formula of MyPT's last release, written out independently.
    training = TrainingConfig(learning_rate=6e-3, warmup_iters=20, max_iters=220)
    for it in range(220):
        if it < 20:
            expected = 6e-3 * (it + 1) / 20
        else:
            low, p = 6e-4, (it - 20) / 200
            expected = low + 0.5 * (6e-3 - low) * (1 + math.cos(math.pi * p))
        assert learning_rate_at(it, training) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("learning_rate", [3e-4, 0.026, 6e-3, 1.0])
def test_the_rates_of_the_defaults_are_those_of_before_bit_for_bit(learning_rate):
    training = TrainingConfig(learning_rate=learning_rate, warmup_iters=7, max_iters=100)
    for step in range(120):
        if step < 7:
            expected = learning_rate * (step + 1) / 7
        else:
            low, progress = learning_rate * 0.1, min(1.0, (step - 7) / 93)
            expected = low + 0.5 * (learning_rate - low) * (1 + math.cos(math.pi * progress))
        assert learning_rate_at(step, training) == expected
