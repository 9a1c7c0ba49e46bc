"""One more token for each row, with little Python in between and weights laid out for it.

A model that reads whole texts spends its time in matrix products. One that adds a token to a text
spends it in reading weights and, if it is small, in the calls between them. So a part may offer,
beside its `forward`, a method `one_token`; see `mypt.plugins.parts`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.model.cache import KVCache
    from mypt.model.transformer import Transformer
    from mypt.plugins.parts import MakeLinear

# To pack the weights takes the time of some 20 tokens of one row, or of 4 of several rows.
MANY_TOKENS = 48
MANY_TOKENS_OF_ROWS = 8
# A model that stays in the cache of a CPU is read as fast as it lies.
LARGE_BYTES = 16 * 1024 * 1024
# A smaller matrix costs less than the call of what multiplies with a packed one, in values.
PACKED_FROM = 256 * 1024


class Decoder:
    """Gives the logits of the next token, one token at a time."""

    def __init__(self, model: Transformer, linear: MakeLinear) -> None:
        """Make the steps of all parts.

        Args:
            model: In evaluation mode.
            linear: How linear layers are computed, see `layout`.
        """
        self._model = model
        self._blocks = [one_token(block, linear) for block in model.blocks]
        self._ln_f = one_token(model.ln_f, linear)
        self._head = linear(model.lm_head)
        device = model.token_embedding_table.weight.device
        self._positions = torch.arange(model.config.block_size, device=device)

    @classmethod
    def make(cls, model: Transformer, batch_size: int, new_tokens: int) -> Decoder | None:
        """Choose the layout for a batch.

        Returns:
            None where hooks want to see each call of a module.
        """
        if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
            return None
        return cls(model, layout(model, batch_size, new_tokens))

    def next_logits(self, idx: Tensor, cache: KVCache) -> Tensor:
        """Give the logits after the next token of each row.

        Args:
            idx: That token, (B, 1) int64.
            cache: Keys and values of what comes before; extended by this call.

        Returns:
            (B, vocab_size).
        """
        x, context = self._model.enter(idx, self._positions[: cache.length + 1])
        x = x[:, 0]
        for block, layer in zip(self._blocks, cache.layers, strict=True):
            x = block(x, context, layer)
        cache.length += 1
        return self._head(self._ln_f(x))


def one_token(part: Callable[..., Tensor], linear: MakeLinear) -> Callable[..., Tensor]:
    """Give what computes a part for one position per row: its own way, or its `forward`."""
    own = getattr(part, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    return lambda x, *shared: part(x[:, None], *shared)[:, 0]


def as_it_is(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function."""
    if type(layer) is not nn.Linear:
        return layer
    weight, bias = layer.weight, layer.bias
    return lambda x: F.linear(x, weight, bias)


def swapped(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function that multiplies the weights with the rows as columns.

    For 2 to some 30 rows a CPU's product in this order takes 0.4 to 0.9 of the time.
    """
    if type(layer) is not nn.Linear:
        return layer
    weight: Tensor = layer.weight
    bias: Tensor | None = layer.bias
    if bias is None:
        return lambda x: torch.mm(weight, x.T).T
    column = bias[:, None]
    return lambda x: torch.addmm(column, weight, x.T).T


def packed(
    layer: nn.Module, /, *, batch_size: int, small: MakeLinear
) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function of weights in blocks, in the order in which they are read.

    That takes the weights' memory once more, and for a matrix that does not stay in the cache of a
    CPU 0.4 to 0.9 of the time.

    Args:
        layer: The layer.
        batch_size: Rows that there will be.
        small: For a matrix that is not worth it.
    """
    if type(layer) is not nn.Linear or layer.weight.numel() < PACKED_FROM:
        return small(layer)
    weight, bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight, batch_size), layer.bias
    multiply = torch.ops.mkldnn._linear_pointwise.default
    return lambda x: multiply(x, weight, bias, "none", [], "")


def layout(model: nn.Module, batch_size: int, new_tokens: int) -> MakeLinear:
    """Choose how linear layers are computed: of `as_it_is`, `swapped` and `packed` the fastest."""
    weights = list(model.parameters())
    if weights[0].device.type != "cpu" or weights[0].dtype != torch.float32:
        return as_it_is
    plain = as_it_is if batch_size == 1 else swapped
    pays = new_tokens >= (MANY_TOKENS if batch_size == 1 else MANY_TOKENS_OF_ROWS)
    is_large = sum(weight.nbytes for weight in weights) > LARGE_BYTES
    if pays and is_large and _can_pack():
        return partial(packed, batch_size=batch_size, small=plain)
    return plain


def _can_pack() -> bool:
    """Tell whether torch has what its compiler uses for this; it is no public part of torch."""
    return hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
