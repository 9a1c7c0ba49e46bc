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

from mypt.model.assembly import make_one_token
from mypt.model.torch_private import can_pack_linear, has_hooks, pack_linear
from mypt.plugins.parts import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.model.cache import KVCache
    from mypt.model.transformer import Transformer
    from mypt.plugins.parts import MakeLinear, Placement

# To lay the weights out takes what 15 (124 million parameters) to 25 tokens (2 million) of one row
# win, or 4 of several rows.
MANY_TOKENS = 48
MANY_TOKENS_OF_ROWS = 8
# For several rows, a model that stays in the cache of a CPU is read as fast as it lies.
LARGE_BYTES = 16 * 1024 * 1024
# Smaller matrices, in values, cost less than the calls that multiply with others.
SLABS_FROM = 64 * 1024
PACKED_FROM = 256 * 1024
# Of a matrix that is turned: 0.6 to 0.8 of the time of the whole at once.
COPIED_ROWS = 256
# Inputs that are worth a thread.
SLAB_INPUTS = 32


class Decoder:
    """Gives the logits of the next token, one token at a time."""

    def __init__(self, model: Transformer, linear: MakeLinear) -> None:
        """Make the steps of all parts.

        Args:
            model: In evaluation mode.
            linear: How linear layers are computed, see `choose_linear`.
        """
        self._embed = model.token_embedding_table
        self._place = _make_placer(model, linear)
        self._blocks = [make_one_token(block, linear) for block in model.blocks]
        self._ln_f = make_one_token(model.ln_f, linear)
        self._head = linear(model.lm_head)

    @classmethod
    def make(cls, model: Transformer, batch_size: int, new_tokens: int) -> Decoder | None:
        """Choose the layout for a batch.

        Returns:
            None where hooks want to see each call of a module.
        """
        if any(has_hooks(module) for module in model.modules()):
            return None
        return cls(model, choose_linear(model, batch_size, new_tokens))

    def next_logits(self, idx: Tensor, cache: KVCache) -> Tensor:
        """Give the logits after the next token of each row.

        Args:
            idx: That token, (B, 1) int64.
            cache: Keys and values of what comes before; extended by this call.

        Returns:
            (B, vocab_size).
        """
        placement = self._place(cache.length)
        x = self._embed(idx[:, 0])
        if placement.embedding is not None:
            x = x + placement.embedding
        context = Context(cache.length, placement.rotate, placement.bias)  # it may look at all
        for block, layer in zip(self._blocks, cache.layers, strict=True):
            x = block(x, context, layer)
        cache.length += 1
        return self._head(self._ln_f(x))


def _make_placer(model: Transformer, linear: MakeLinear) -> Callable[[int], Placement]:
    """Give what places the token of a position: the part's own way, or its `forward`."""
    part = model.position_embedding_table
    own = getattr(part, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    device = model.token_embedding_table.weight.device
    positions = torch.arange(model.config.block_size, device=device)
    return lambda position: part(positions[position : position + 1], positions[: position + 1])


def plain_linear(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function."""
    if type(layer) is not nn.Linear:
        return layer
    weight, bias = layer.weight, layer.bias
    return lambda x: F.linear(x, weight, bias)


def swapped_linear(layer: nn.Module) -> Callable[[Tensor], Tensor]:
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


def slab_linear(layer: nn.Module, /) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function of one row, with the weights of each input side by side.

    Each thread multiplies a slab of inputs, which it reads from beginning to end, as fast as memory
    goes; one product of many matrices is how torch lets each thread have its own. That takes the
    weights' memory once more, and 0.5 to 0.7 of the time.
    """
    if type(layer) is not nn.Linear or layer.weight.numel() < SLABS_FROM:
        return plain_linear(layer)
    weight: Tensor = layer.weight.detach()
    bias: Tensor | None = layer.bias
    n_outputs, n_inputs = weight.shape
    most = max(1, min(torch.get_num_threads(), n_inputs // SLAB_INPUTS))
    count = next(number for number in range(most, 0, -1) if n_inputs % number == 0)
    slabs = _transpose_copy(weight).view(count, -1, n_outputs)
    if bias is None:
        return lambda x: torch.bmm(x.reshape(count, 1, -1), slabs).sum(0)
    first = torch.cat([bias.detach()[None], weight.new_zeros(count - 1, n_outputs)])[:, None]
    return lambda x: torch.baddbmm(first, x.reshape(count, 1, -1), slabs).sum(0)


def _transpose_copy(weight: Tensor) -> Tensor:
    """Give a matrix's columns as rows, some at a time: all at once torch lets one thread copy."""
    turned = weight.new_empty(weight.size(1), weight.size(0))
    for start in range(0, weight.size(0), COPIED_ROWS):
        rows = slice(start, start + COPIED_ROWS)
        turned[:, rows] = weight[rows].T
    return turned


def packed_linear(layer: nn.Module, /, *, batch_size: int) -> Callable[[Tensor], Tensor]:
    """Give a linear layer as a function of weights in blocks, in the order in which they are read.

    That takes the weights' memory once more, and for a matrix that does not stay in the cache of a
    CPU 0.4 to 0.9 of the time.

    Args:
        layer: The layer.
        batch_size: Rows that there will be, more than one.
    """
    if type(layer) is not nn.Linear or layer.weight.numel() < PACKED_FROM:
        return swapped_linear(layer)
    return pack_linear(layer, batch_size)


def choose_linear(model: nn.Module, batch_size: int, new_tokens: int) -> MakeLinear:
    """Choose how linear layers are computed: of the functions above the fastest."""
    weights = list(model.parameters())
    if weights[0].device.type != "cpu" or weights[0].dtype != torch.float32:
        return plain_linear
    if batch_size == 1:
        return (
            slab_linear if new_tokens >= MANY_TOKENS and _has_batched_products() else plain_linear
        )
    is_large = sum(weight.nbytes for weight in weights) > LARGE_BYTES
    if is_large and new_tokens >= MANY_TOKENS_OF_ROWS and can_pack_linear():
        return partial(packed_linear, batch_size=batch_size)
    return swapped_linear


def _has_batched_products() -> bool:
    """Tell whether torch hands many matrices to a library at once, not one after the other."""
    return bool(torch.backends.mkl.is_available())  # type: ignore[no-untyped-call]
