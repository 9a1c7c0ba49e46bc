"""Keys and values of texts of different lengths, stored so that all texts end at one index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from mypt.model.kv_cache import KVCache
from mypt.plugins.nn.cache import LayerCache

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.model.transformer import Transformer

# Positions that there is room for besides the longest text, as a share of it, and at least: each
# time they are used up, all texts are moved to the front.
SLACK_SHARE = 4
LEAST_SLACK = 32
# Positions that there is room for at first; the room is doubled whenever it is used up.
ROOM = 128


class JoinedCache:
    """The caches of a stack for several texts at once.

    A text of n tokens has its position 0 at index `end - n`, and the next token of each goes to
    index `end`. So all texts grow at the same index, as rows of one length do, and parts need not
    know that there are several lengths: only what is before a text must be hidden from it.

    Memory is that of `max_rows` texts, as long as the longest there was, and some slack.

    Attributes:
        layers: What the stack gets, for all texts.
        capacity: Number of indices that there is memory for.
        max_capacity: The most that there will be.
        end: Index after the last token of each text.
        lengths: Number of tokens of each text.
    """

    def __init__(self, model: Transformer, max_rows: int) -> None:
        """Start without a text.

        Args:
            model: One whose stack has caches as `list_layer_caches` finds them.
            max_rows: Number of texts that there may be at once.
        """
        longest = model.config.cacheable_length
        self.max_capacity = longest + max(longest // SLACK_SHARE, LEAST_SLACK)
        self._max_rows = max_rows
        self.layers: Any = model.blocks.make_cache(self.max_capacity)
        self._of_one: Any = model.blocks.make_cache(self.max_capacity)
        self._shapes = _measure_layers(model)
        self._stored: list[tuple[Tensor, Tensor]] = []
        self.capacity = self.end = 0
        self.lengths: list[int] = []

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the keys."""
        return self._shapes[0][0].dtype

    @property
    def nbytes(self) -> int:
        """Bytes of allocated memory."""
        return sum(k.nbytes + v.nbytes for k, v in self._stored)

    def begin(self, length: int) -> KVCache:
        """Make room for a text, and return the cache that takes its tokens.

        It does not count until `append` is called; until then, nothing else may be.

        Args:
            length: Number of its tokens, at most the model's `cacheable_length`.
        """
        self._place(max(self.end, length), spare=0)
        row, before = len(self.lengths), self.end - length
        for cache, memory in zip(list_layer_caches(self._of_one), self._stored, strict=True):
            of_row = [part[row : row + 1] for part in memory]
            for part in of_row:
                part[:, :, :before].zero_()  # hidden, but numbers it must be
            keys, values = (part[:, :, before:] for part in of_row)
            cache.store_in(keys, values)
        return KVCache(self._of_one)

    def append(self, length: int) -> None:
        """Count the text that was begun last, with its number of tokens, as the last row."""
        self.lengths.append(length)
        self._use_rows()

    def leave(self, row: int) -> None:
        """Remove a text; the last one takes its row."""
        last = len(self.lengths) - 1
        for memory in self._stored if row < last else ():
            for part in memory:
                part[row, :, : self.end] = part[last, :, : self.end]
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        longest = max(self.lengths, default=0)
        is_spread = self.end - longest > max(longest // SLACK_SHARE, LEAST_SLACK)
        if is_spread or not self.lengths:
            self._place(longest, spare=0)
        self._use_rows()

    def make_room(self) -> bool:
        """Make room for one more token of each text; return whether texts were moved for it."""
        if self.end < self.capacity:
            return False
        self._place(max(self.lengths), spare=1)
        self._use_rows()
        return True

    def grow(self) -> None:
        """Count the token that each text was given by the stack."""
        self.end += 1
        self.lengths = [length + 1 for length in self.lengths]

    def _place(self, end: int, spare: int) -> None:
        """Move all texts so that they end at an index, with room for more."""
        stored = self._stored
        if end + spare > self.capacity:
            room = max(ROOM, 2 * self.capacity, end + spare + LEAST_SLACK)
            self.capacity = min(room, self.max_capacity)
            stored = [(self._allocate(k), self._allocate(v)) for k, v in self._shapes]
        longest, rows = max(self.lengths, default=0), len(self.lengths)
        if stored is not self._stored or end != self.end:
            for old, new in zip(self._stored, stored, strict=False):
                for source, target in zip(old, new, strict=True):
                    kept = source[:rows, :, self.end - longest : self.end]
                    kept = kept.clone() if source is target else kept
                    target[:rows, :, : end - longest].zero_()
                    target[:rows, :, end - longest : end] = kept
        self._stored, self.end = stored, end

    def _allocate(self, like: Tensor) -> Tensor:
        """Allocate the memory of a layer: zeros, since what is hidden must be numbers."""
        return like.new_zeros(self._max_rows, like.size(1), self.capacity, like.size(3))

    def _use_rows(self) -> None:
        rows = len(self.lengths)
        for cache, (keys, values) in zip(list_layer_caches(self.layers), self._stored, strict=True):
            cache.store_in(keys[:rows], values[:rows])


def list_layer_caches(cache: Any) -> Sequence[LayerCache]:
    """Return the caches of the layers within that of a stack; see `mypt.plugins.StackPart`.

    Returns:
        None of them if the stack has a cache of another kind.
    """
    caches = getattr(cache, "layer_caches", cache)
    is_known = isinstance(caches, Sequence) and all(isinstance(c, LayerCache) for c in caches)
    return caches if is_known else ()


def _measure_layers(model: Transformer) -> list[tuple[Tensor, Tensor]]:
    """Return the keys and values that the layers store of one token."""
    cache = model.make_cache(1)
    model.next_logits(torch.zeros(1, 1, dtype=torch.int64, device=_find_device(model)), cache)
    return [layer.stored for layer in list_layer_caches(cache.layers) if layer.stored is not None]


def _find_device(model: Transformer) -> torch.device:
    return next(model.parameters()).device
