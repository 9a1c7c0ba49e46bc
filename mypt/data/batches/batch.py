"""What one micro step trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


class Batch(NamedTuple):
    """Windows of tokens, what follows each token, and how much each counts.

    Attributes:
        x: (B, T) int64.
        y: (B, T) int64; the id after each of x.
        mask: (B, T) float32, the weight of each of y in the loss, from 0 to 1; None if all count.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Give the batch on a device; a GPU takes it while it computes, and nothing waits."""
        if device.type == "cuda":
            return self._map(lambda part: part.pin_memory().to(device, non_blocking=True))
        return self._map(lambda part: part.to(device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        mask = None if self.mask is None else function(self.mask)
        return Batch(function(self.x), function(self.y), mask)


class BatchSource(Protocol):
    """The data of one split: what can be cut out of it has a number."""

    def __len__(self) -> int:
        """Count the tokens."""
        ...

    def windows(self, block_size: int) -> int:
        """Count what a random draw chooses from."""
        ...

    def blocks(self, block_size: int) -> int:
        """Count what an epoch takes once each."""
        ...

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:
        """Give the window that each block is, by the block's number; (B,) int64."""
        ...

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Cut out windows by their numbers, (B,) int64, in their order."""
        ...

    def chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Give all tokens in order, a few million at a time."""
        ...

    def content(self) -> Iterator[NDArray[Any]]:
        """Give all that a model learns from, as the fingerprint takes it."""
        ...

    def highest_id(self) -> int:
        """Give the highest id there is, -1 where there are no tokens."""
        ...

    def longest(self) -> int:
        """Give the tokens of the longest piece that a window can lie in."""
        ...
