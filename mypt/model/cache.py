"""Cache the keys and values of earlier tokens, so that each new token costs one position."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.format.documents.config import GPTConfig


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

    def extend(self, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Store new keys and values, and return all that are stored.

        Args:
            k: Keys of positions `start` and on, (B, heads, T, width), any floating dtype.
            v: Values, as `k`; their width may differ.
            start: Number of positions stored before; anything stored from there on is replaced.

        Returns:
            Keys and values of positions 0 ... start + T - 1, as views of the stored ones.
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
    """The caches of all layers for one batch of sequences.

    Attributes:
        layers: One cache per block.
        length: Number of positions stored; set it to 0 to start over in the same memory.
    """

    def __init__(self, config: GPTConfig, capacity: int | None = None) -> None:
        """Start empty; no memory is allocated before the first forward pass.

        Args:
            config: The architecture.
            capacity: Number of positions that fit; at most, and by default, block_size.
        """
        room = config.block_size if capacity is None else min(capacity, config.block_size)
        self.layers = [LayerCache(room) for _ in range(config.n_layer)]
        self.length = 0
