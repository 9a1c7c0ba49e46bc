"""Causal self-attention with one joint matrix for queries, keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mypt.model.parts.dropout import causal_attention, dropout

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import AttentionCache, Context, MakeLinear


class CausalAttention(nn.Module):
    """Causal multi-head attention: each position attends to itself and to earlier ones.

    Source: Vaswani et al. 2017, section 3.2.2, with the decoder's mask of 3.2.3; dropout on the
    attention weights and on the output, as in GPT-2.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the projections; the rows of `qkv` are the queries', then keys', then values'."""
        super().__init__()
        width = config.attention_width
        self.qkv = nn.Linear(config.n_embd, 3 * width, bias=config.has_qkv_bias)
        self.proj = nn.Linear(width, config.n_embd, bias=config.has_proj_bias)
        self.n_head = config.n_head
        self.scale = config.attention_scale
        self.dropout = config.dropout

    def forward(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply attention; see `mypt.plugins.parts.AttentionPart`."""
        batch, length, _ = x.shape
        heads = self.qkv(x).view(batch, length, 3, self.n_head, -1)
        if context.rotate is not None:  # queries and keys at once
            turned = context.rotate(heads[:, :, :2].flatten(2, 3).transpose(1, 2))
            (q, k), v = turned.chunk(2, dim=1), heads[:, :, 2].transpose(1, 2)
        else:
            q, k, v = (part.transpose(1, 2) for part in heads.unbind(2))  # (B, n_head, T, ...)
        if cache is not None:
            k, v = cache.extend(k, v, context.start)
        out: Tensor = self.proj(self._average_values(q, k, v, context).transpose(1, 2).flatten(2))
        return dropout(out, self.dropout) if self.training else out

    def _average_values(self, q: Tensor, k: Tensor, v: Tensor, context: Context) -> Tensor:
        """Compute the weighted means of the values, (B, n_head, T, head_width)."""
        dropout_p = self.dropout if self.training else 0.0
        is_plain = context.mask is None and q.size(2) == k.size(2)
        if dropout_p > 0 and is_plain and q.device.type == "cpu":
            return causal_attention(q, k, v, dropout_p, self.scale)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=context.mask,
            dropout_p=dropout_p,
            is_causal=context.mask is None and q.size(2) > 1,
            scale=self.scale,
        )

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        qkv, proj = linear(self.qkv), linear(self.proj)
        n_head, scale = self.n_head, self.scale

        def step(x: Tensor, context: Context, cache: AttentionCache) -> Tensor:
            batch = x.size(0)
            heads = qkv(x).view(batch, 3, n_head, 1, -1)
            q, k, v = heads.unbind(1)
            if context.rotate is not None:  # queries and keys at once
                q, k = context.rotate(heads[:, :2].flatten(1, 2)).chunk(2, dim=1)
            keys, values = cache.extend(k, v, context.start)
            if batch > 1 and context.mask is None and x.device.type == "cpu":
                mixed = attend_to_all(q * scale, keys, values)
            else:
                mixed = F.scaled_dot_product_attention(
                    q, keys, values, attn_mask=context.mask, scale=scale
                )
            return proj(mixed.reshape(batch, -1))

        return step


def attend_to_all(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend to all keys with one query per row and head.

    On a CPU, torch's fused attention is optimized for many queries; with one query each and several
    rows, two batched products of small matrices take 0.65 to 0.9 of its time.

    Args:
        q: Scaled queries, (B, n_head, 1, head_width).
        keys: (B, n_head, T, head_width).
        values: (B, n_head, T, value width).

    Returns:
        (B * n_head, 1, value width).
    """
    scores = torch.bmm(q.flatten(0, 1), keys.flatten(0, 1).mT)
    return torch.bmm(scores.softmax(dim=-1), values.flatten(0, 1))
