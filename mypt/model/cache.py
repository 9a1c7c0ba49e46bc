"""Keys and values of the tokens seen so far, so that the next token costs one position."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.format.documents.config import GPTConfig


class LayerCache:
    """Keys and values of one layer, in memory that is taken once.

    The memory is taken at the first `extend`, in the shape, dtype and device of what comes then,
    so attention parts may keep fewer heads or another width than the config says.
    """

    def __init__(self, capacity: int) -> None:
        """Begin empty.

        Args:
            capacity: Positions that there will be room for.
        """
        self._capacity = capacity
        self._stored: tuple[Tensor, Tensor] | None = None

    def extend(self, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Store what is new and give all there is.

        Args:
            k: Keys of positions `start` and on, (B, heads, T, width), any floating dtype.
            v: Values, as `k`; their width may differ.
            start: Positions stored before; what was stored from there on is replaced.

        Returns:
            Keys and values of positions 0 ... start + T - 1, views of the stored ones.
        """
        if self._stored is None:
            self._stored = self._allocate(k), self._allocate(v)
        keys, values = self._stored
        length = k.size(2)
        keys.narrow(2, start, length).copy_(k)
        values.narrow(2, start, length).copy_(v)
        return keys.narrow(2, 0, start + length), values.narrow(2, 0, start + length)

    def _allocate(self, new: Tensor) -> Tensor:
        batch, heads, _, width = new.shape
        return new.new_empty(batch, heads, self._capacity, width)


class KVCache:
    """The caches of all layers of one batch of sequences.

    Attributes:
        layers: One cache per block.
        length: Positions stored; set it to 0 to begin anew in the same memory.
    """

    def __init__(self, config: GPTConfig, capacity: int | None = None) -> None:
        """Begin empty; no memory is taken before the first forward pass.

        Args:
            config: The architecture.
            capacity: Positions that there will be room for; at most, and by default, block_size.
        """
        room = config.block_size if capacity is None else min(capacity, config.block_size)
        self.layers = [LayerCache(room) for _ in range(config.n_layer)]
        self.length = 0
