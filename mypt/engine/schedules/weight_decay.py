"""The weight decay of a run as a function of the step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mypt.engine.schedules.built_in import CONSTANT
from mypt.engine.schedules.shapes import half_cosine, straight_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

    from mypt.format.documents.training import TrainingConfig

SETTING = "weight_decay"
_SHAPES: Mapping[str, Callable[[float], float]] = {
    "linear": straight_line,
    "cosine": half_cosine,
}


def decay_factor_at(step: int, training: TrainingConfig) -> float:
    """Return the share of the weight decay that the update after `step` updates has.

    It falls from 1 at the first update to 0 at `max_iters`, without regard to the warm-up.
    """
    if training.weight_decay_schedule == CONSTANT:
        return 1.0
    return _SHAPES[training.weight_decay_schedule](min(1.0, step / training.max_iters))


@contextmanager
def scheduled_weight_decay(
    optimizer: torch.optim.Optimizer, step: int, training: TrainingConfig
) -> Iterator[None]:
    """Let the groups of an optimizer have the weight decay of a step for a while.

    What they are saved with is the one that they were built with.

    Args:
        optimizer: The optimizer; groups without `weight_decay` stay as they are.
        step: Updates done before.
        training: Hyperparameters.
    """
    if training.weight_decay_schedule == CONSTANT:
        yield
        return
    factor, groups = decay_factor_at(step, training), optimizer.param_groups
    whole = [(group, group[SETTING]) for group in groups if SETTING in group]
    for group, decay in whole:
        group[SETTING] = decay * factor
    try:
        yield
    finally:
        for group, decay in whole:
            group[SETTING] = decay


def has_decay(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether any group of an optimizer decays weights in a way that a schedule changes."""
    return any(group.get(SETTING) for group in optimizer.param_groups)


def explain_no_decay(optimizer: torch.optim.Optimizer, training: TrainingConfig) -> Iterator[str]:
    """Yield why a weight-decay schedule has no effect, if there is one and it has none."""
    if training.weight_decay_schedule == CONSTANT:
        return
    said = f"weight_decay_schedule {training.weight_decay_schedule} has no effect:"
    decays = [group[SETTING] for group in optimizer.param_groups if SETTING in group]
    if not decays:
        yield f"{said} the groups of the optimizer {training.optimizer} have no `{SETTING}`"
    elif not any(decays):
        yield f"{said} the weight decay is 0"
