"""Cache the keys and values of earlier tokens, so that each new token costs one position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Positions that a windowed cache has room for besides its window, as a share of it, and at least.
# Each time they are used up, the window is moved; a smaller share moves it more often.
SLACK_SHARE = 4
LEAST_SLACK = 32


class LayerCache:
    """Keys and values of one layer, in memory that is allocated once.

    It is allocated at the first `extend`, with the shape, dtype and device of the tensors passed
    then, so attention parts may keep fewer heads or a different width than the config says.
    """

    def __init__(self, capacity: int) -> None:
        """Start empty.

        Args:
            capacity: Number of positions that fit.
        """
        self._capacity = capacity
        self._stored: tuple[Tensor, Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of allocated memory."""
        return sum(stored.nbytes for stored in self._stored or ())

    def can_resume(self, start: int) -> bool:  # noqa: ARG002 - that of a window depends on it
        """Return whether `extend` may replace what is stored from a position on."""
        return True

    @property
    def stored(self) -> tuple[Tensor, Tensor] | None:
        """The memory of keys and values, (B, heads, capacity, width) each; None before."""
        return self._stored

    def store_in(self, keys: Tensor, values: Tensor) -> None:
        """Store in memory of somebody else from here on; what it holds is taken as stored.

        Args:
            keys: (B, heads, positions, width), from position 0 on.
            values: The same of the values.
        """
        self._stored, self._capacity = (keys, values), keys.size(2)

    def extend(self, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Store new keys and values, and return all that are stored.

        Args:
            k: Keys of positions `start` and on, (B, heads, T, width), any floating dtype.
            v: Values, as `k`; their width may differ.
            start: Number of positions stored before; anything stored from there on is replaced.

        Returns:
            Keys and values of positions 0 ... start + T - 1, as views of the stored ones.
        """
        keys, values = self._stored or self._allocate(k, v)
        length = k.size(2)
        keys.narrow(2, start, length).copy_(k)
        values.narrow(2, start, length).copy_(v)
        return keys.narrow(2, 0, start + length), values.narrow(2, 0, start + length)

    def _allocate(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        batch, heads, _, _ = k.shape
        self._stored = (
            k.new_empty(batch, heads, self._capacity, k.size(3)),
            v.new_empty(batch, heads, self._capacity, v.size(3)),
        )
        return self._stored


class WindowCache(LayerCache):
    """Keys and values of a layer in which a position sees only itself and those just before it.

    Only these stay in memory. They are stored one after the other; where there is no more room, the
    last ones move to the front, which costs less than one more window per window of tokens.
    """

    def __init__(self, capacity: int, window: int) -> None:
        """Start empty.

        Args:
            capacity: Number of positions of the longest text.
            window: Number of positions that a position sees, itself included.
        """
        super().__init__(min(capacity, window + max(window // SLACK_SHARE, LEAST_SLACK)))
        self._window = window
        self._first = 0  # the position whose keys are stored at index 0

    def can_resume(self, start: int) -> bool:
        """Return whether what position `start` sees is still stored."""
        return start == 0 or max(0, start - self._window + 1) >= self._first

    def store_in(self, keys: Tensor, values: Tensor) -> None:
        """See `LayerCache`: as long as there is room, no position is moved."""
        super().store_in(keys, values)
        self._first = 0

    def extend(self, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Store new keys and values, and return those that the new positions see.

        Args:
            k: As in `LayerCache`.
            v: As in `LayerCache`.
            start: Number of positions stored before; anything stored from there on is replaced.

        Returns:
            Keys and values of positions max(0, start - window + 1) ... start + T - 1.

        Raises:
            ValueError: What position `start` sees is not stored any more.
        """
        stored = self._stored or self._allocate(k, v)
        length, seen = k.size(2), max(0, start - self._window + 1)
        if start == 0:
            self._first = 0
        elif seen < self._first:
            message = f"the keys of positions before {self._first} are not kept; begin at 0"
            raise ValueError(message)
        count = start + length - seen
        if count > self._capacity:
            return self._replace(stored, (k, v), seen, start)
        if start + length - self._first > self._capacity:
            self._move(stored, seen, start)
        at = start - self._first
        for kept, new in zip(stored, (k, v), strict=True):
            kept.narrow(2, at, length).copy_(new)
        keys, values = stored
        at = seen - self._first
        return keys.narrow(2, at, count), values.narrow(2, at, count)

    def _move(self, stored: tuple[Tensor, Tensor], seen: int, start: int) -> None:
        """Move positions seen ... start - 1 to the front."""
        for kept in stored:
            earlier = kept.narrow(2, seen - self._first, start - seen)
            kept.narrow(2, 0, start - seen).copy_(earlier.clone())  # the two may overlap
        self._first = seen

    def _replace(
        self, stored: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], seen: int, start: int
    ) -> tuple[Tensor, Tensor]:
        """Return positions seen ... start - 1 with the new ones, and keep only their last ones."""
        if seen < start:
            earlier = (kept.narrow(2, seen - self._first, start - seen) for kept in stored)
            keys, values = (torch.cat(both, dim=2) for both in zip(earlier, new, strict=True))
        else:
            keys, values = new
        self._first = start + new[0].size(2) - self._window + 1
        for kept, whole in zip(stored, (keys, values), strict=True):
            last = whole.narrow(2, self._first - seen, self._window - 1)
            kept.narrow(2, 0, self._window - 1).copy_(last)
        return keys, values


def make_layer_cache(capacity: int, window: int | None) -> LayerCache:
    """Make the cache of a layer.

    Args:
        capacity: Number of positions of the longest text.
        window: Number of positions that each position of the layer sees; None for all.
    """
    if window is None or window >= capacity:
        return LayerCache(capacity)
    return WindowCache(capacity, window)
