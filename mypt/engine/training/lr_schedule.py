"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypt.format.documents.training import TrainingConfig

# The cosine ends at a tenth of the peak, as in Hoffmann et al. 2022, section 3.1.
MIN_LR_FRACTION = 0.1


def learning_rate_at(step: int, training: TrainingConfig) -> float:
    """Return the learning rate of the update that follows `step` updates.

    Linear warm-up to `learning_rate`, then a half cosine down to a tenth of it at `max_iters`.

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5 without restarts.
    """
    peak, warmup = training.learning_rate, training.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    low = peak * MIN_LR_FRACTION
    progress = min(1.0, (step - warmup) / max(1, training.max_iters - warmup))
    return low + 0.5 * (peak - low) * (1 + math.cos(math.pi * progress))
