"""Decode one token per row, with little Python overhead and a weight layout suited to it.

A model that processes whole texts spends its time in matrix products. One that adds a token to a
text spends it reading weights and, if it is small, in function calls. So a part may have, besides
`forward`, a method `one_token`; see `mypt.plugins.parts`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from mypt.model.contexts import PassContexts, list_kinds
from mypt.model.torch_private import can_pack_linear, has_hooks, pack_linear
from mypt.plugins.nn.one_token import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.model.kv_cache import KVCache
    from mypt.model.transformer import Transformer
    from mypt.plugins.parts import MakeLinear, Placement

# Changing the layout costs what it saves over 15 (124 million parameters) to 25 tokens (2 million)
# of one row, or over 4 tokens of several rows.
MANY_TOKENS = 48
MANY_TOKENS_OF_ROWS = 8
# For several rows, a model that fits into the cache of a CPU is read fast in any layout.
LARGE_BYTES = 16 * 1024 * 1024
# For smaller matrices (number of values) the extra calls cost more than the layout saves.
SLABS_FROM = 64 * 1024
PACKED_FROM = 256 * 1024
# Rows transposed at once, which takes 0.6 to 0.8 of the time of transposing the whole matrix.
COPIED_ROWS = 256
# Minimum number of inputs per thread.
SLAB_INPUTS = 32


class Decoder:
    """Computes the logits of the next token, one token at a time."""

    def __init__(self, model: Transformer, linear: MakeLinear) -> None:
        """Make the step functions of all parts.

        Args:
            model: In evaluation mode.
            linear: How linear layers are computed; see `choose_linear`.
        """
        self._embed = make_one_token(model.token_embedding_table, linear)
        self._place = _make_placer(model, linear)
        self._apply_layers = _make_stack_step(model.blocks, linear)
        self._ln_f = make_one_token(model.ln_f, linear)
        self._head = _make_head_step(model.lm_head, linear)
        self._kinds = list_kinds(model.config)
        self._device = next(model.parameters()).device

    @classmethod
    def make(cls, model: Transformer, batch_size: int, new_tokens: int) -> Decoder | None:
        """Make a decoder with the best layout for a batch.

        Returns:
            The decoder; None if hooks must see each call of a module.
        """
        if any(has_hooks(module) for module in model.modules()):
            return None
        return cls(model, choose_linear(model, batch_size, new_tokens))

    def next_logits(self, idx: Tensor, cache: KVCache) -> Tensor:
        """Compute the logits that follow the next token of each row.

        Args:
            idx: That token, (B, 1) int64.
            cache: Keys and values of the tokens before it; extended by this call.

        Returns:
            (B, vocab_size).
        """
        start, ids = cache.length, idx[:, 0]
        placement = self._place(start)
        x = self._embed(ids)
        if placement.embedding is not None:
            x = x + placement.embedding
        contexts = PassContexts(self._kinds, placement, start, 1, self._device)
        x = self._apply_layers(x, ids, contexts, cache.layers)
        cache.length += 1
        return self._head(self._ln_f(x))


def _make_placer(model: Transformer, linear: MakeLinear) -> Callable[[int], Placement]:
    """Return a function from a position to its placement: `one_token` of the part, or `forward`."""
    part = model.position_embedding_table
    own = getattr(part, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    device = next(model.parameters()).device
    positions = torch.arange(model.config.block_size, device=device)
    return lambda position: part(positions[position : position + 1], positions[: position + 1])


def _make_stack_step(stack: Any, linear: MakeLinear) -> Callable[..., Tensor]:
    """Return a function that applies a stack to one position per row."""
    own = getattr(stack, "one_token", None)
    if own is not None:
        return own(linear)  # type: ignore[no-any-return]
    return lambda x, ids, *shared: stack(x[:, None], ids[:, None], *shared)[:, 0]


def _make_head_step(head: nn.Module, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
    """Return a function from activations (B, n_embd) to logits."""
    own = getattr(head, "one_token", None)
    return linear(head) if own is None else own(linear)


def plain_linear(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a linear layer as a plain function."""
    if type(layer) is not nn.Linear:
        return layer
    weight, bias = layer.weight, layer.bias
    return lambda x: F.linear(x, weight, bias)


def swapped_linear(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a linear layer as a function that multiplies the weights by the transposed rows.

    On a CPU, this takes 0.4 to 0.9 of the time for 2 to about 30 rows.
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
    """Return a linear layer as a function of one row, with each input's weights contiguous.

    Each thread multiplies a slab of inputs, whose weights it reads sequentially, at memory speed; a
    batched matrix product makes torch give each thread its own slab. This needs the weights' memory
    a second time, and takes 0.5 to 0.7 of the time.
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
    """Transpose a matrix in parts: torch would copy the whole with a single thread."""
    turned = weight.new_empty(weight.size(1), weight.size(0))
    for start in range(0, weight.size(0), COPIED_ROWS):
        rows = slice(start, start + COPIED_ROWS)
        turned[:, rows] = weight[rows].T
    return turned


def packed_linear(layer: nn.Module, /, *, batch_size: int) -> Callable[[Tensor], Tensor]:
    """Return a linear layer as a function with the weights in blocks, in reading order.

    This needs the weights' memory a second time, and takes 0.4 to 0.9 of the time for a matrix that
    does not fit into the cache of a CPU.

    Args:
        layer: The layer.
        batch_size: Number of rows, more than one.
    """
    if type(layer) is not nn.Linear or layer.weight.numel() < PACKED_FROM:
        return swapped_linear(layer)
    return pack_linear(layer, batch_size)


def choose_linear(model: nn.Module, batch_size: int, new_tokens: int) -> MakeLinear:
    """Choose the fastest of the above functions for the linear layers of a model."""
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
    """Return whether torch passes batched products to a library at once, not one by one."""
    return bool(torch.backends.mkl.is_available())  # type: ignore[no-untyped-call]
