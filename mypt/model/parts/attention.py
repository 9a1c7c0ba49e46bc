"""Causal self-attention with one joint matrix for queries, keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from mypt.model.parts.norm import make_norm
from mypt.plugins.nn.attention import attend, attend_once
from mypt.plugins.nn.dropout import dropout
from mypt.plugins.nn.one_token import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import AttentionCache, Context, MakeLinear

    Transform = Callable[[Tensor], Tensor]


class CausalAttention(nn.Module):
    """Causal multi-head attention: each position attends to itself and to earlier ones.

    Heads of queries may share heads of keys and values; queries and keys may be normalized before
    they are rotated, and scores be capped. How far back a layer sees is a matter of its context.

    Source: Vaswani et al. 2017, section 3.2.2, with the decoder's mask of 3.2.3; dropout on the
    attention weights and on the output, as in GPT-2. Shared heads: Ainslie et al. 2023, section
    2.2, and with one head of keys Shazeer 2019, section 3. Norms of queries and keys: Henry et al.
    2020, section 2, here with the norm of `norm_type`. Caps: Gemma Team 2024 (Gemma 2), section 2.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the projections; the rows of `qkv` are the queries', then keys', then values'."""
        super().__init__()
        width, kv_width = config.attention_width, config.kv_width
        self.qkv = nn.Linear(config.n_embd, width + 2 * kv_width, bias=config.has_qkv_bias)
        self.q_norm: nn.Module | None = None
        self.k_norm: nn.Module | None = None
        if config.qk_norm == "head":
            self.q_norm, self.k_norm = (make_norm(config, config.head_width) for _ in range(2))
        elif config.qk_norm == "width":
            self.q_norm, self.k_norm = make_norm(config, width), make_norm(config, kv_width)
        self.proj = nn.Linear(width, config.n_embd, bias=config.has_proj_bias)
        self.heads = config.n_head, config.kv_heads, config.kv_heads
        self.rotated_heads = config.n_head + config.kv_heads, config.kv_heads
        self.qk_norm = config.qk_norm
        self.scale, self.soft_cap = config.attention_scale, config.attn_soft_cap
        self.dropout = config.dropout

    def forward(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply attention; see `mypt.plugins.parts.AttentionPart`."""
        q, k, v = self._split(self.qkv(x), context.rotate, self.q_norm, self.k_norm)
        if cache is not None:
            k, v = cache.extend(k, v, context.start)
        mixed = attend(
            q,
            k,
            v,
            context.mask,
            context.window,
            scale=self.scale,
            soft_cap=self.soft_cap,
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return dropout(out, self.dropout) if self.training else out

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        qkv, proj, split = linear(self.qkv), linear(self.proj), self._make_token_splitter(linear)
        scale, soft_cap = self.scale, self.soft_cap

        def step(x: Tensor, context: Context, cache: AttentionCache) -> Tensor:
            q, k, v = split(qkv(x), context.rotate)
            keys, values = cache.extend(k, v, context.start)
            mixed = attend_once(q, keys, values, context.mask, scale=scale, soft_cap=soft_cap)
            return proj(mixed.reshape(x.size(0), -1))

        return step

    def _split(
        self,
        joint: Tensor,
        rotate: Transform | None,
        q_norm: Transform | None,
        k_norm: Transform | None,
    ) -> Sequence[Tensor]:
        """Return queries, keys and values, (B, heads, T, head_width), normalized and rotated.

        Args:
            joint: All their heads, one after the other, (B, T, heads * head_width).
            rotate: See `mypt.plugins.parts.Context`.
            q_norm: Normalizes queries; None leaves them as they are.
            k_norm: Normalizes keys, as `q_norm`.
        """
        heads = joint.view(*joint.shape[:2], sum(self.heads), -1)
        if q_norm is None or k_norm is None:
            if rotate is None:
                return [part.transpose(1, 2) for part in heads.split_with_sizes(self.heads, 2)]
            turned, v = (
                part.transpose(1, 2) for part in heads.split_with_sizes(self.rotated_heads, 2)
            )
            return *rotate(turned).split_with_sizes(self.heads[:2], 1), v  # both at once
        q, k, v = heads.split_with_sizes(self.heads, 2)
        q = q_norm(q) if self.qk_norm == "head" else q_norm(q.flatten(2)).view_as(q)
        k = k_norm(k) if self.qk_norm == "head" else k_norm(k.flatten(2)).view_as(k)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        return (q, k, v) if rotate is None else (rotate(q), rotate(k), v)

    def _make_token_splitter(
        self, linear: MakeLinear
    ) -> Callable[[Tensor, Transform | None], Sequence[Tensor]]:
        """Return a function that does the same for one position: from (B, heads * head_width)."""
        if self.q_norm is not None and self.k_norm is not None:
            norms = make_one_token(self.q_norm, linear), make_one_token(self.k_norm, linear)
            return lambda joint, rotate: self._split(joint[:, None], rotate, *norms)
        heads, rotated_heads, count = self.heads, self.rotated_heads, sum(self.heads)

        def split(joint: Tensor, rotate: Transform | None) -> Sequence[Tensor]:
            parts = joint.view(joint.size(0), count, 1, -1)
            if rotate is None:
                return parts.split_with_sizes(heads, 1)
            turned, v = parts.split_with_sizes(rotated_heads, 1)
            return *rotate(turned).split_with_sizes(heads[:2], 1), v

        return split
