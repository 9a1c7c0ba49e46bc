"""One more token for each row, with little Python in between and weights laid out for it.

A model that reads whole texts spends its time in matrix products. One that adds a token to a text
spends it in reading weights and, if it is small, in the calls between them. So a part may offer,
beside its `forward`, a method `one_token`; see `mypt.plugins.parts`.
"""

from __future__ import annotations

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

# To lay the weights out anew takes the time of some 50 tokens; those that stay in the cache of a
# CPU are read as fast either way.
MANY_TOKENS = 96
LARGE_BYTES = 16 * 1024 * 1024


class Decoder:
    """Gives the logits of the next token, one token at a time."""

    def __init__(self, model: Transformer, linear: MakeLinear) -> None:
        """Make the steps of all parts.

        Args:
            model: In evaluation mode.
            linear: `as_it_is` or `transposed`.
        """
        self._model = model
        self._blocks = [one_token(block, linear) for block in model.blocks]
        self._ln_f = one_token(model.ln_f, linear)
        self._head = linear(model.lm_head)

    @classmethod
    def make(cls, model: Transformer, batch_size: int, new_tokens: int) -> Decoder | None:
        """Choose the layout for a batch.

        Returns:
            None where hooks want to see each call of a module.
        """
        if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
            return None
        weights = list(model.parameters())
        pays = (
            batch_size == 1
            and new_tokens >= MANY_TOKENS
            and weights[0].device.type == "cpu"
            and sum(weight.nbytes for weight in weights) > LARGE_BYTES
        )
        return cls(model, transposed if pays else as_it_is)

    def next_logits(self, idx: Tensor, cache: KVCache) -> Tensor:
        """Give the logits after the next token of each row.

        Args:
            idx: That token, (B, 1) int64.
            cache: Keys and values of what comes before; extended by this call.

        Returns:
            (B, vocab_size).
        """
        x, context = self._model.enter(idx, cache)
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


def transposed(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function that reads its weights in the other order.

    For a single row on a CPU, torch's product reads a matrix that lies in that order at the speed
    of the memory, and twice as fast as one that lies as `nn.Linear` has it.
    """
    if type(layer) is not nn.Linear:
        return layer
    return _product(layer.weight.T.contiguous(), layer.bias)


def _product(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    if bias is None:
        return lambda x: torch.mm(x, weight)
    return lambda x: torch.addmm(bias, x, weight)
