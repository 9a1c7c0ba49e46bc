"""A layer of nanochat's model: attention with a value embedding, and a feed-forward part."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mypt.plugins import attend, attend_once
from mypt_nanochat.initial_values import GATE_MAX, UP_SHARE, draw_uniform, find_range
from mypt_nanochat.layout import VALUE_GATE_MAX, VALUE_INPUTS, has_value_embedding

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.plugins import AttentionCache, Context, GPTConfig, MakeLinear


class Layer(nn.Module):
    """A norm before each part and a residual connection around it; norms have no weights."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        """Build the parts.

        Args:
            config: The architecture.
            layer: Number of the layer.
        """
        super().__init__()
        self.sa = ValueEmbeddingAttention(config, layer)
        self.fwd = SquaredReluMlp(config)
        self.norm = partial(normalise, epsilon=config.norm_epsilon)

    def forward(
        self, x: Tensor, idx: Tensor, context: Context, cache: AttentionCache | None
    ) -> Tensor:
        """Map (B, T, n_embd) to the same shape; `idx` are the ids, (B, T) int64."""
        x = x + self.sa(self.norm(x), idx, context, cache)
        return x + self.fwd(self.norm(x))

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """Return a function that does the same for one position per row."""
        sa, fwd, norm = self.sa.one_token(linear), self.fwd.one_token(linear), self.norm

        def step(x: Tensor, ids: Tensor, context: Context, cache: AttentionCache) -> Tensor:
            x = x + sa(norm(x), ids, context, cache)
            return x + fwd(norm(x))

        return step


class ValueEmbeddingAttention(nn.Module):
    """Causal attention to whose values some layers add a vector of each token, through a gate.

    Queries and keys are normalised.

    Source: Zhou et al. 2024, "Value Residual Learning", for the embedding; Henry et al. 2020,
    "Query-Key Normalization for Transformers"; nanochat's `gpt.py` for the gate.
    """

    def __init__(self, config: GPTConfig, layer: int) -> None:
        """Build the projections; the rows of `qkv` are the queries', then keys', then values'."""
        super().__init__()
        width, kv_width = config.attention_width, config.kv_width
        self.qkv = nn.Linear(config.n_embd, width + 2 * kv_width, bias=False)
        self.proj = nn.Linear(width, config.n_embd, bias=False)
        self.value_embedding: nn.Embedding | None = None
        self.value_gate: nn.Linear | None = None
        if has_value_embedding(config, layer):
            self.value_embedding = nn.Embedding(config.vocab_size, kv_width)
            self.value_gate = nn.Linear(VALUE_INPUTS, config.kv_heads, bias=False)
        self.n_head, self.n_kv_head = config.n_head, config.kv_heads
        self.norm = partial(normalise, epsilon=config.norm_epsilon)
        self.scale = config.attention_scale
        self.dropout = config.dropout

    def forward(
        self, x: Tensor, idx: Tensor, context: Context, cache: AttentionCache | None
    ) -> Tensor:
        """Map (B, T, n_embd) to the same shape; `idx` are the ids, (B, T) int64."""
        q, k, v = self._prepare(self.qkv(x), context)
        if self.value_gate is not None:
            v = self._add_embedding(v, self.value_gate(x[..., :VALUE_INPUTS]), idx)
        if cache is not None:
            k, v = cache.extend(k, v, context.start)
        dropout_p = self.dropout if self.training else 0.0
        mixed = attend(q, k, v, context.mask, context.window, scale=self.scale, dropout_p=dropout_p)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return F.dropout(out, self.dropout) if self.training else out

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """Return a function that does the same for one position per row."""
        qkv, proj = linear(self.qkv), linear(self.proj)
        gate = None if self.value_gate is None else linear(self.value_gate)

        def step(x: Tensor, ids: Tensor, context: Context, cache: AttentionCache) -> Tensor:
            q, k, v = self._prepare(qkv(x)[:, None], context)
            if gate is not None:
                v = self._add_embedding(v, gate(x[:, :VALUE_INPUTS])[:, None], ids[:, None])
            k, v = cache.extend(k, v, context.start)
            mixed = attend_once(q, k, v, context.mask, scale=self.scale, soft_cap=None)
            return proj(mixed.reshape(x.size(0), -1))

        return step

    def reset(self, generator: torch.Generator) -> None:
        """Set the weights of a new model."""
        high = find_range(self.qkv.in_features)
        draw_uniform(self.qkv.weight, -high, high, generator)
        nn.init.zeros_(self.proj.weight)
        if self.value_embedding is not None and self.value_gate is not None:
            draw_uniform(self.value_embedding.weight, -high, high, generator)
            draw_uniform(self.value_gate.weight, 0.0, GATE_MAX, generator)

    def _prepare(self, projected: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (B, heads, T, head_width)."""
        heads = projected.unflatten(-1, (self.n_head + 2 * self.n_kv_head, -1)).transpose(1, 2)
        turning, v = heads.split([self.n_head + self.n_kv_head, self.n_kv_head], dim=1)
        if context.rotate is not None:  # queries and keys at once
            turning = context.rotate(turning)
        q, k = self.norm(turning).split([self.n_head, self.n_kv_head], dim=1)
        return q, k, v

    def _add_embedding(self, v: Tensor, gates: Tensor, idx: Tensor) -> Tensor:
        """Add the embedding of each token; `gates` are (B, T, n_kv_head), before the sigmoid."""
        vectors = self.value_embedding(idx).unflatten(-1, (self.n_kv_head, -1)).transpose(1, 2)
        opened = torch.sigmoid(gates).transpose(1, 2)[..., None]
        return torch.addcmul(v, opened, vectors, value=VALUE_GATE_MAX)


class SquaredReluMlp(nn.Module):
    """Two layers with the square of max(0, x) between them.

    Source: So et al. 2021, "Primer", section 4.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the two matrices."""
        super().__init__()
        self.up = nn.Linear(config.n_embd, config.mlp_width, bias=False)
        self.down = nn.Linear(config.mlp_width, config.n_embd, bias=False)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        out: Tensor = self.down(F.relu(self.up(x)).square())
        return F.dropout(out, self.dropout) if self.training else out

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """Return a function that does the same for one position per row."""
        up, down = linear(self.up), linear(self.down)
        return lambda x: down(F.relu(up(x)).square())

    def reset(self, generator: torch.Generator) -> None:
        """Set the weights of a new model."""
        high = UP_SHARE * find_range(self.up.in_features)
        draw_uniform(self.up.weight, -high, high, generator)
        nn.init.zeros_(self.down.weight)


def normalise(x: Tensor, epsilon: float) -> Tensor:
    """Divide by the root of the mean square over the last dimension.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", without weights.
    """
    return F.rms_norm(x, x.shape[-1:], eps=epsilon)
