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
from mypt.model.decoding.huge_pages import HugePages, has_huge_pages
from mypt.model.lora.layers import adapted_linear
from mypt.model.torch_private import can_pack_linear, has_hooks, pack_linear
from mypt.plugins.nn.one_token import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.model.kv_cache import KVCache
    from mypt.model.transformer import Transformer
    from mypt.plugins.parts import MakeLinear, Placement

    EmptyMatrix = Callable[..., Tensor]

# Changing the layout costs what it saves over this many tokens of one row, or of several.
MANY_TOKENS = 48
MANY_TOKENS_OF_ROWS = 8
# A smaller model fits into the cache of a CPU, and is read fast in any layout.
LARGE_BYTES = 16 * 1024 * 1024
# For smaller matrices (number of values) the extra calls cost more than the layout saves.
PACKED_FROM = 256 * 1024
# Rows transposed at once, which takes 0.6 to 0.8 of the time of transposing the whole matrix.
COPIED_ROWS = 256


class Decoder:
    """Computes the logits of the next token, one token at a time.

    Attributes:
        place: Returns the placement of a position.
    """

    def __init__(self, model: Transformer, linear: MakeLinear) -> None:
        """Make the step functions of all parts.

        Args:
            model: In evaluation mode.
            linear: How linear layers are computed; see `choose_linear`.
        """
        self._embed = make_one_token(model.token_embedding_table, linear)
        self.place = _make_placer(model, linear)
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
        return cls(model, adapted_linear(choose_linear(model, batch_size, new_tokens)))

    def next_logits(self, idx: Tensor, cache: KVCache) -> Tensor:
        """Compute the logits that follow the next token of each row.

        Args:
            idx: That token, (B, 1) int64.
            cache: Keys and values of the tokens before it; extended by this call.

        Returns:
            (B, vocab_size).
        """
        start = cache.length
        logits = self.compute(idx[:, 0], self.place(start), start, cache.layers)
        cache.length += 1
        return logits

    def compute(self, ids: Tensor, placement: Placement, start: int, layers: Any) -> Tensor:
        """Compute the logits that follow one token of each row.

        Args:
            ids: That token, (B,) int64.
            placement: How positions enter, as those of a single query: an embedding is (n_embd,),
                or one of each row, (B, n_embd).
            start: Number of positions before it.
            layers: The cache of the stack; extended by this call.

        Returns:
            (B, vocab_size).
        """
        x = self._embed(ids)
        if placement.embedding is not None:
            x = x + placement.embedding
        contexts = PassContexts(self._kinds, placement, start, 1, self._device)
        return self._head(self._ln_f(self._apply_layers(x, ids, contexts, layers)))


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


def turned_linear(layer: nn.Module, /, *, empty: EmptyMatrix) -> Callable[[Tensor], Tensor]:
    """Return a linear layer as a function of one row, with each input's weights contiguous.

    So memory is read in long runs. This needs the weights' memory a second time, and takes 0.4 to 1
    of the time for a matrix that the cache of a CPU does not hold, the less the fewer inputs.

    Args:
        layer: The layer, on the CPU.
        empty: Allocates the copy.
    """
    if type(layer) is not nn.Linear:
        return layer
    weight = _transpose_copy(layer.weight.detach(), empty)
    bias: Tensor | None = layer.bias
    if bias is None:
        return lambda x: torch.mm(x, weight)
    return lambda x: torch.addmm(bias, x, weight)


def _transpose_copy(weight: Tensor, empty: EmptyMatrix) -> Tensor:
    """Transpose a matrix in parts: torch would copy the whole with a single thread."""
    turned = empty(weight.size(1), weight.size(0), dtype=weight.dtype)
    for start in range(0, weight.size(0), COPIED_ROWS):
        rows = slice(start, start + COPIED_ROWS)
        turned[:, rows] = weight[rows].T
    return turned


def packed_linear(layer: nn.Module, /, *, batch_size: int) -> Callable[[Tensor], Tensor]:
    """Return a linear layer as a function with the weights in blocks, in reading order.

    This needs the weights' memory a second time, and takes 0.4 to 0.9 of the time for a matrix that
    does not fit into the cache of a CPU.

    Args:
        layer: The layer, in float32 or bfloat16.
        batch_size: Number of rows; in float32 more than one.
    """
    if type(layer) is not nn.Linear:
        return layer
    if layer.weight.dtype == torch.float32 and layer.weight.numel() < PACKED_FROM:
        return swapped_linear(layer)
    return pack_linear(layer, batch_size)


def choose_linear(model: nn.Module, batch_size: int, new_tokens: int) -> MakeLinear:
    """Choose the fastest of the above functions for the linear layers of a model."""
    weights = list(model.parameters())
    dtype = weights[0].dtype
    if weights[0].device.type != "cpu":
        return plain_linear
    if dtype != torch.float32:
        is_packed = new_tokens >= MANY_TOKENS_OF_ROWS and can_pack_linear(dtype)
        return partial(packed_linear, batch_size=batch_size) if is_packed else plain_linear
    size = sum(weight.nbytes for weight in weights)
    is_large = size > LARGE_BYTES
    if batch_size == 1:
        if not is_large or new_tokens < MANY_TOKENS:
            return plain_linear
        empty: EmptyMatrix = HugePages(size).empty if has_huge_pages() else torch.empty
        return partial(turned_linear, empty=empty)
    if is_large and new_tokens >= MANY_TOKENS_OF_ROWS and can_pack_linear():
        return partial(packed_linear, batch_size=batch_size)
    return swapped_linear
