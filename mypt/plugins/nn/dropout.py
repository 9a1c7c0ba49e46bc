"""Dropout that is cheap on a CPU.

torch draws a random number for each value, one by one. Here, on a CPU, four values share a draw of
64 bits. On a GPU torch's own is faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """Set values to zero at random, and scale the others up to preserve the mean.

    Args:
        x: Any shape, floating.
        p: Probability that a value becomes zero, 0 <= p < 1; on a CPU a multiple of 2 ** -16.

    Returns:
        Shape and dtype of `x`.
    """
    if p == 0 or x.device.type != "cpu":
        return F.dropout(x, p)
    return x * _draw_factors(x, p)


def _draw_factors(x: Tensor, p: float) -> Tensor:
    """Draw the factors to multiply `x` by; their expected value is exactly 1."""
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    levels = words.view(torch.int16)[: x.numel()]
    kept = (levels >= dropped - _LEVELS // 2).to(x.dtype)
    return kept.mul_(_LEVELS / (_LEVELS - dropped)).view(x.shape)
