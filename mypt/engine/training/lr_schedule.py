"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypt.format.documents.training import TrainingConfig

# The cosine ends at a tenth of the peak, as in Hoffmann et al. 2022, section 3.1.
MIN_LR_FRACTION = 0.1


def learning_rate_at(step: int, training: TrainingConfig, peak: float | None = None) -> float:
    """Return the learning rate of the update that follows `step` updates.

    Linear warm-up to the peak, then a half cosine down to a tenth of it at `max_iters`.

    Args:
        step: Updates done before.
        training: Hyperparameters.
        peak: The peak of a group of parameters; by default `learning_rate`, that of the run.

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5 without restarts.
    """
    peak = training.learning_rate if peak is None else peak
    warmup = training.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    low = peak * MIN_LR_FRACTION
    progress = min(1.0, (step - warmup) / max(1, training.max_iters - warmup))
    return low + 0.5 * (peak - low) * (1 + math.cos(math.pi * progress))
