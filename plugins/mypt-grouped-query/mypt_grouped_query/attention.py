"""Attention in which several heads share keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from mypt_grouped_query.layout import kv_heads, kv_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.plugins import AttentionCache, Context, GPTConfig, MakeLinear


class GroupedQueryAttention(nn.Module):
    """Causal attention in which head h uses the keys and values of head h // group.

    Source: Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models from
    Multi-Head Checkpoints", section 2.2; with one head of keys, Shazeer 2019, section 3.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the projections; the rows of `kv` are the keys', then the values'."""
        super().__init__()
        width, bias = config.attention_width, config.has_qkv_bias
        self.q = nn.Linear(config.n_embd, width, bias=bias)
        self.kv = nn.Linear(config.n_embd, 2 * kv_width(config), bias=bias)
        self.proj = nn.Linear(width, config.n_embd, bias=config.has_proj_bias)
        self.n_head, self.n_kv_head = config.n_head, kv_heads(config)
        self.scale = config.attention_scale
        self.dropout = config.dropout

    def forward(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply attention; see `mypt.plugins.AttentionPart`."""
        batch, length, _ = x.shape
        mixed = self._attend(self.q(x), self.kv(x), length, context, cache)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, length, -1))
        return F.dropout(out, self.dropout) if self.training else out

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        q, kv, proj = linear(self.q), linear(self.kv), linear(self.proj)

        def step(x: Tensor, context: Context, cache: AttentionCache) -> Tensor:
            return proj(self._attend(q(x), kv(x), 1, context, cache).reshape(x.size(0), -1))

        return step

    def _attend(
        self, q: Tensor, kv: Tensor, length: int, context: Context, cache: AttentionCache | None
    ) -> Tensor:
        """Compute the weighted means, (B, n_head, T, head_width), from projections (B, T, ...)."""
        batch = q.size(0)
        q = q.view(batch, length, self.n_head, -1).transpose(1, 2)
        kv = kv.view(batch, length, 2 * self.n_kv_head, -1).transpose(1, 2)
        k, v = kv.chunk(2, dim=1)  # (B, n_kv_head, T, head_width)
        if context.rotate is not None:
            q, k = context.rotate(q), context.rotate(k)
        if cache is not None:
            k, v = cache.extend(k, v, context.start)
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=context.mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=context.mask is None and length > 1,
            scale=self.scale,
            enable_gqa=True,
        )
