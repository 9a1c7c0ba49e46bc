"""How windows are chosen from a source that numbers them from 0 on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from mypt.data.batches.permutation import shuffle_epochs

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NumberedWindows(ABC):
    """What sources of numbered windows share; see `BatchSource`."""

    __slots__ = ()

    @abstractmethod
    def windows(self, block_size: int) -> int:
        """Return the number of windows that a random draw chooses from."""

    @abstractmethod
    def blocks(self, block_size: int) -> int:
        """Return the number of blocks, each of which an epoch takes once."""

    @abstractmethod
    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:
        """Return the numbers of the windows that are these blocks, (B,) int64 each."""

    def pick(self, places: NDArray[np.float64], block_size: int) -> NDArray[np.int64]:
        """Choose windows at places within [0, 1); see `BatchSource`."""
        return (places * self.windows(block_size)).astype(np.int64)

    def pick_by_epoch(
        self, places: NDArray[np.int64], block_size: int, seed: int, *, stream: int = 0
    ) -> NDArray[np.int64]:
        """Choose windows by their places in the epochs; see `BatchSource`."""
        blocks = shuffle_epochs(places, self.blocks(block_size), seed, stream)
        return self.block_windows(blocks, block_size)
