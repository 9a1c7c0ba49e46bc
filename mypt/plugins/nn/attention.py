"""The core of attention: the means of the values, weighted by the softmax of the scores.

torch's fused attention computes it where it can. It has no soft cap and skips nothing outside of a
window, and with dropout on a CPU it falls back to full matrices of scores. There, queries are
processed some at a time, with only the keys that one of them may attend to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from mypt.plugins.nn.dropout import dropout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

# Queries processed at once without fused attention, on a CPU and elsewhere. Fewer skip more keys,
# but make the products smaller.
QUERIES_ON_CPU = 64
QUERIES = 512
# Queries processed at once by fused attention within a window, and the least number of keys outside
# of it from which this is faster than a mask for all of them: in 0.4 to 0.9 of the time.
FUSED_QUERIES = 256
LEAST_OUTSIDE = 256


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    window: int | None,
    *,
    scale: float,
    soft_cap: float | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    """Compute the means of the values that queries attend to.

    Args:
        q: Queries, (B, n_head, T, head_width), floating.
        k: Keys, (B, n_kv_head, K, head_width), up to the position of the last query. Each head of
            keys is shared by n_head / n_kv_head heads of queries that follow one another.
        v: Values, (B, n_kv_head, K, value width).
        mask: See `mypt.plugins.parts.Context`.
        window: See `mypt.plugins.parts.Context`.
        scale: Factor of the scores.
        soft_cap: Scaled scores become soft_cap * tanh(scores / soft_cap), before the mask.
        dropout_p: Probability that a weight becomes zero; see `mypt.plugins.nn.dropout`.

    Returns:
        (B, n_head, T, value width), dtype of `q`.
    """
    is_on_cpu = q.device.type == "cpu"
    if soft_cap is not None or (dropout_p > 0 and is_on_cpu):
        return _attend_in_blocks(
            q, k, v, mask, window, scale=scale, soft_cap=soft_cap, dropout_p=dropout_p
        )
    if mask is None or window is None or k.size(2) - window < LEAST_OUTSIDE:
        return _attend_fused(q, k, v, mask, scale, dropout_p)
    parts = [
        _attend_fused(
            q[:, :, here], k[:, :, seen], v[:, :, seen], mask[..., here, seen], scale, dropout_p
        )
        for here, seen in _make_blocks(q.size(2), k.size(2), window, FUSED_QUERIES)
    ]
    return torch.cat(parts, dim=2)


def attend_once(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, scale: float, soft_cap: float | None
) -> Tensor:
    """Compute the same for a single query per row and head, which attends to all keys.

    The queries that share a head of keys are processed as if they followed one another, so that no
    key is copied or read twice: on a CPU, 0.5 to 0.9 of the time of `enable_gqa`.

    Returns:
        (B, n_kv_head, n_head / n_kv_head, value width), dtype of `q`.
    """
    n_head, n_kv_head = q.size(1), k.size(1)
    if n_head != n_kv_head:
        q = q.reshape(q.size(0), n_kv_head, -1, q.size(3))
        if mask is not None and mask.dim() > 2 and mask.size(-3) == n_head:
            mask = mask.reshape(*mask.shape[:-3], n_kv_head, -1, mask.size(-1))
    if soft_cap is None:
        q = q.contiguous()  # others are computed without the fused kernel: twice the time
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    scores = torch.matmul(q * (scale / soft_cap), k.mT).tanh_().mul_(soft_cap)
    if mask is not None:
        scores = (
            scores.masked_fill_(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        )
    return scores.softmax(dim=-1) @ v


def _attend_fused(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, dropout_p: float
) -> Tensor:
    """Compute them with torch's fused attention, and full matrices of scores where it must."""
    groups = q.size(1) // k.size(1)
    if groups > 1 and mask is not None and q.device.type != "cpu":
        # Elsewhere than on a CPU, no fused kernel has both a mask and shared heads.
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        groups = 1
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        dropout_p=dropout_p,
        is_causal=mask is None and q.size(2) > 1,
        scale=scale,
        enable_gqa=groups > 1,
    )


def _attend_in_blocks(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    window: int | None,
    *,
    scale: float,
    soft_cap: float | None,
    dropout_p: float,
) -> Tensor:
    """Compute them from the scores of some queries at a time."""
    groups = q.size(1) // k.size(1)
    # (B * n_kv_head, groups, T, head_width)
    queries = q.reshape(-1, groups, *q.shape[2:])
    keys, values = k.flatten(0, 1), v.flatten(0, 1)
    length, n_keys = q.size(2), k.size(2)
    if mask is None:
        mask = q.new_full((length, n_keys), -math.inf).triu(n_keys - length + 1)
    mask = mask.expand(*mask.shape[:-2], length, n_keys)
    size = QUERIES_ON_CPU if q.device.type == "cpu" else QUERIES
    mixed = []
    for here, seen in _make_blocks(length, n_keys, window, size):
        block = queries[:, :, here].flatten(1, 2)
        hidden = _make_hidden(mask[..., here, seen], q, groups)
        scores = _compute_scores(block, keys[:, seen], hidden, scale, soft_cap)
        weights = F.softmax(scores, dim=-1)
        weights = dropout(weights, dropout_p) if dropout_p > 0 else weights
        mixed.append((weights @ values[:, seen]).view(len(queries), groups, -1, v.size(3)))
    return torch.cat(mixed, dim=2).view(*q.shape[:3], v.size(3))


def _make_blocks(
    n_queries: int, n_keys: int, window: int | None, size: int
) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of queries, each with the keys that one of them may attend to."""
    before = n_keys - n_queries
    for start in range(0, n_queries, size):
        end = min(start + size, n_queries)
        first = 0 if window is None else max(0, before + start + 1 - window)
        yield slice(start, end), slice(first, before + end)


def _make_hidden(mask: Tensor, q: Tensor, groups: int) -> Tensor:
    """Return what a mask adds to the scores: broadcastable to (B * n_kv_head, groups * T, K)."""
    if mask.dtype == torch.bool:
        mask = q.new_zeros(mask.shape).masked_fill_(~mask, -math.inf)
    mask = mask.to(q.dtype)
    if mask.dim() == 2:
        return mask.repeat(groups, 1) if groups > 1 else mask
    whole = mask.expand(*q.shape[:2], *mask.shape[-2:])
    return whole.reshape(-1, groups * mask.size(-2), mask.size(-1))


def _compute_scores(
    q: Tensor, k: Tensor, hidden: Tensor, scale: float, soft_cap: float | None
) -> Tensor:
    if soft_cap is None:
        return torch.baddbmm(hidden, q, k.mT, alpha=scale)
    capped = torch.bmm(q * (scale / soft_cap), k.mT).tanh()
    return torch.add(hidden, capped, alpha=soft_cap)
