"""Dropout that is cheap on a CPU.

torch draws a random number for each value, one by one, and with dropout its attention falls back
from the fused kernel to full matrices of scores. Here, on a CPU, four values share a draw of 64
bits, and attention skips most scores of the future. On a GPU torch's own is faster.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = 1 << 16
# Queries processed at once. Fewer skip more of the future, but make the products smaller.
_QUERIES = 64


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


def causal_attention(q: Tensor, k: Tensor, v: Tensor, p: float, scale: float) -> Tensor:
    """Apply causal attention with dropout on the attention weights.

    Args:
        q: Queries, (B, n_head, T, head_width), floating.
        k: Keys, as `q`.
        v: Values, as `q`.
        p: See `dropout`.
        scale: Factor of the scores.

    Returns:
        Shape and dtype of `q`, like `scaled_dot_product_attention`.
    """
    length = q.size(2)
    queries, keys, values = (x.flatten(0, 1) for x in (q, k, v))
    future = q.new_full((length, length), -math.inf).triu(1)
    mixed = []
    for start in range(0, length, _QUERIES):
        end = min(start + _QUERIES, length)
        here, past = slice(start, end), slice(end)
        scores = torch.baddbmm(future[here, past], queries[:, here], keys[:, past].mT, alpha=scale)
        mixed.append(dropout(F.softmax(scores, dim=-1), p) @ values[:, past])
    return torch.cat(mixed, dim=1).view(q.shape)


def _draw_factors(x: Tensor, p: float) -> Tensor:
    """Draw the factors to multiply `x` by; their expected value is exactly 1."""
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    levels = words.view(torch.int16)[: x.numel()]
    kept = (levels >= dropped - _LEVELS // 2).to(x.dtype)
    return kept.mul_(_LEVELS / (_LEVELS - dropped)).view(x.shape)
