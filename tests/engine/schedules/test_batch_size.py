"""Micro steps, and what is counted in them, are functions of the step."""

import pytest

import mypt
from mypt.engine.schedules.batch_size import (
    count_updates,
    micro_steps_at,
    micro_steps_until,
    tokens_per_step,
)
from mypt.format.documents.training import BatchStretch, TrainingConfig

STRETCHES = (
    BatchStretch(from_iter=3, grad_accum_steps=4),
    BatchStretch(from_iter=5, grad_accum_steps=1),
)
TRAINING = TrainingConfig(grad_accum_steps=2, batch_schedule=STRETCHES, max_iters=8)
CONFIG = mypt.GPTConfig(vocab_size=8, block_size=8, n_embd=8, n_head=2, n_layer=1, batch_size=3)
COUNTS = [2, 2, 2, 4, 4, 1, 1, 1]


def test_the_last_stretch_that_has_begun_counts():
    assert [micro_steps_at(step, TRAINING) for step in range(8)] == COUNTS
    assert [tokens_per_step(CONFIG, TRAINING, step) for step in range(8)] == [
        24 * count for count in COUNTS
    ]


@pytest.mark.parametrize("step", range(9))
def test_sums_are_those_of_the_steps(step):
    assert micro_steps_until(step, TRAINING) == sum(COUNTS[:step])
    for first in range(step + 1):
        tokens = 24 * sum(COUNTS[first:step])
        assert count_updates(step, tokens, CONFIG, TRAINING) == step - first


def test_without_stretches_all_steps_are_alike():
    training = TrainingConfig(grad_accum_steps=3)
    assert micro_steps_until(1000, training) == 3000
    assert count_updates(10, 24 * 3 * 4, CONFIG, training) == 4
