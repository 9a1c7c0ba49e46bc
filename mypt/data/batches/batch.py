"""The batch that one micro step trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


class Batch(NamedTuple):
    """Windows of tokens, their targets, and the weight of each target.

    Attributes:
        x: (B, T) int64.
        y: (B, T) int64; the id that follows each one in x.
        mask: (B, T) float32, the weight of each target in the loss, from 0 to 1; None if all
            targets count fully.
        segments: (B, T) int64, the number within its row of the text that each position is in,
            never falling; positions attend only to those of their own text, and count from its
            beginning. None if each row is one text.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None = None
    segments: Tensor | None = None

    def count_targets(self) -> float:
        """Return what the loss is a mean over: the sum of the weights of all targets."""
        return float(self.y.numel()) if self.mask is None else float(self.mask.sum())

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; the copy to a GPU is asynchronous."""
        if device.type == "cuda":
            return self.map_tensors(lambda part: part.pin_memory().to(device, non_blocking=True))
        return self.map_tensors(lambda part: part.to(device))

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with each of its tensors changed."""
        return Batch(*(None if part is None else function(part) for part in self))  # type: ignore[arg-type]


class PairBatch(Batch):
    """Pairs of answers to the same prompt: row 2i is the chosen one, row 2i + 1 the rejected one.

    Attributes:
        reference: (B / 2,) float32: how much likelier the chosen one is to the model that is
            compared with, as a difference of log-likelihoods in nats.
    """

    reference: Tensor

    @classmethod
    def of(cls, answers: Batch, reference: Tensor) -> PairBatch:
        """Return pairs of the rows of a batch."""
        pairs = cls(*answers)
        pairs.reference = reference
        return pairs

    def count_targets(self) -> float:
        """Return what the loss is a mean over: the number of pairs."""
        return float(len(self.reference))

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> PairBatch:
        """Return the pairs with each of their tensors changed."""
        return PairBatch.of(super().map_tensors(function), function(self.reference))


class BatchSource(Protocol):
    """The data of one split, as numbered windows."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        ...

    def windows(self, block_size: int) -> int:
        """Return the number of windows that a random draw chooses from."""
        ...

    def blocks(self, block_size: int) -> int:
        """Return the number of blocks, each of which an epoch takes once."""
        ...

    def reach(self, block_size: int, *, by_blocks: bool = False) -> int:
        """Return the number of tokens that lie in a window, or in a block, and can be drawn."""
        ...

    def pick(self, places: NDArray[np.float64], block_size: int) -> NDArray[np.int64]:
        """Choose windows at places within [0, 1), (B,) float64; return their numbers, (B,) int64.

        Places that are drawn uniformly make windows that are.
        """
        ...

    def pick_by_epoch(
        self, places: NDArray[np.int64], block_size: int, seed: int, *, stream: int = 0
    ) -> NDArray[np.int64]:
        """Choose windows by their places in an endless sequence of epochs; (B,) int64 each.

        Args:
            places: How many windows come before each.
            block_size: Length of a window.
            seed: Seed of the run.
            stream: Which of the orders of that seed.
        """
        ...

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Return the windows with these numbers, (B,) int64, in the given order."""
        ...

    def chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Yield all tokens in order, a few million at a time."""
        ...

    def content(self) -> Iterator[NDArray[Any]]:
        """Yield everything that a model learns from, in the form that the fingerprint hashes."""
        ...

    def explain_left_out(self, block_size: int) -> str | None:
        """Return what can never be drawn, in words, where that is a surprise; None otherwise."""
        ...

    def highest_id(self) -> int:
        """Return the highest id, or -1 if there are no tokens."""
        ...

    def longest(self) -> int:
        """Return the number of tokens in the longest stretch that a window can lie in."""
        ...
