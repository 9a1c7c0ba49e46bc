"""The micro steps of an update, and with them its tokens, as functions of the step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig


def micro_steps_at(step: int, training: TrainingConfig) -> int:
    """Return the micro steps of the update that follows `step` updates."""
    count = training.grad_accum_steps
    for stretch in training.batch_schedule:  # by rising step
        if stretch.from_iter <= step:
            count = stretch.grad_accum_steps
    return count


def micro_steps_until(step: int, training: TrainingConfig) -> int:
    """Return the micro steps of the first `step` updates together."""
    return sum((end - begin) * count for begin, end, count in _stretches(step, training))


def tokens_per_step(config: GPTConfig, training: TrainingConfig, step: int) -> int:
    """Count the tokens of the update that follows `step` updates."""
    return config.batch_size * config.block_size * micro_steps_at(step, training)


def count_updates(step: int, tokens: int, config: GPTConfig, training: TrainingConfig) -> float:
    """Return of how many updates some tokens are.

    Args:
        step: Updates done.
        tokens: The tokens that the last of them took.
        config: The model.
        training: Hyperparameters.

    Returns:
        At most `step`.
    """
    left, updates = tokens / (config.batch_size * config.block_size), 0.0
    for begin, end, count in reversed([*_stretches(step, training)]):
        taken = min(end - begin, left / count)
        left, updates = left - taken * count, updates + taken
    return updates


def describe_tokens(config: GPTConfig, training: TrainingConfig, step: int) -> str:
    """Return in words how many tokens an update takes from a step on."""
    changes = "".join(
        f", {tokens_per_step(config, training, stretch.from_iter):,} from step {stretch.from_iter}"
        for stretch in training.batch_schedule
        if step < stretch.from_iter < training.max_iters
    )
    return f"{tokens_per_step(config, training, step):,} tokens per step{changes}"


def list_unused_stretches(training: TrainingConfig) -> list[str]:
    """Return a line for each stretch of a batch schedule that begins when the run has ended."""
    return [
        f"batch_schedule: {stretch.grad_accum_steps} micro steps from step {stretch.from_iter} are "
        f"never trained with: the run ends at {training.max_iters}"
        for stretch in training.batch_schedule
        if stretch.from_iter >= training.max_iters
    ]


def _stretches(step: int, training: TrainingConfig) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and micro steps per update of each stretch of the first `step` updates."""
    begins = [0, *(s.from_iter for s in training.batch_schedule if s.from_iter < step), step]
    for begin, end in pairwise(begins):
        yield begin, end, micro_steps_at(begin, training)
