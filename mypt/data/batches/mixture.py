"""Several sources at once, of which each window comes by their shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen

from mypt.data.batches.batch import Batch
from mypt.data.batches.permutation import permute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from mypt.data.batches.batch import BatchSource

# A cycle of an epoch's order has so many windows, of which each source gets its share.
_CYCLE = 1 << 12
_KEPT_CYCLES = 4  # a batch has windows of one, or of two
# Streams of the orders, so that no two are alike: that of the cycles, then those of the sources.
_CYCLE_STREAM, _FIRST_STREAM = 1, 2


def _to_tuple(parts: Iterable[BatchSource]) -> tuple[BatchSource, ...]:
    return tuple(parts)


def _normalize(shares: Sequence[float]) -> tuple[float, ...]:
    total = sum(shares)
    return tuple(share / total for share in shares)


@frozen(eq=False)
class MixtureSource:
    """The data of one split of several sources.

    The windows of all sources are numbered one after another. A source is drawn with the
    probability that is its share, and of its windows each is as likely as the others.

    Attributes:
        parts: The sources.
        shares: The share of the windows that each gets; they sum to 1.
    """

    parts: tuple[BatchSource, ...] = field(converter=_to_tuple)
    shares: tuple[float, ...] = field(converter=_normalize)
    _cycles: dict[tuple[int, int, int], NDArray[np.int64]] = field(
        factory=dict, init=False, repr=False
    )

    def __len__(self) -> int:
        """Return the number of tokens in all sources."""
        return sum(map(len, self.parts))

    def windows(self, block_size: int) -> int:
        """Return the number of windows of all sources."""
        return int(self._count_windows(block_size).sum())

    def blocks(self, block_size: int) -> int:
        """Return the number of blocks of all sources."""
        return sum(part.blocks(block_size) for part in self.parts)

    def reach(self, block_size: int, *, by_blocks: bool = False) -> int:
        """Return the number of tokens that can be drawn."""
        return sum(part.reach(block_size, by_blocks=by_blocks) for part in self.parts)

    def pick(self, places: NDArray[np.float64], block_size: int) -> NDArray[np.int64]:
        """Choose windows at places within [0, 1), of which each source has a stretch.

        Args:
            places: (B,) float64.
            block_size: Length of a window.

        Returns:
            (B,) int64, each in 0 ... windows(block_size) - 1.
        """
        ends = np.cumsum(self.shares)
        part_of = np.minimum(np.searchsorted(ends, places, side="right"), len(self.parts) - 1)
        starts, counts = ends - np.array(self.shares), self._count_windows(block_size)
        within = (places - starts[part_of]) / np.array(self.shares)[part_of]
        found = (within * counts[part_of]).astype(np.int64).clip(0, counts[part_of] - 1)
        chosen: NDArray[np.int64] = self._offsets(block_size)[part_of] + found
        return chosen

    def pick_by_epoch(
        self, places: NDArray[np.int64], block_size: int, seed: int, *, stream: int = 0
    ) -> NDArray[np.int64]:
        """Choose windows by their places in a run, in which each source has epochs of its own.

        The sources take turns in cycles of 4096 windows, in a new order in each cycle. In a cycle
        a source has its share of the windows, rounded, and at least one; so how many of its own
        windows were before any place follows from the place alone.

        Args:
            places: (B,) int64, the numbers of windows that the run drew before.
            block_size: Length of a window.
            seed: Seed of the run.
            stream: Added to the streams of the orders.

        Returns:
            (B,) int64, each in 0 ... windows(block_size) - 1.
        """
        turns, offsets = self._count_turns(), self._offsets(block_size)
        part_of, own = np.empty_like(places), np.empty_like(places)
        for row, place in enumerate(places.tolist()):
            cycle, within = divmod(place, _CYCLE)
            order = self._order_cycle(cycle, seed, stream)
            which = order[within]
            before = np.count_nonzero(order[:within] == which)
            part_of[row], own[row] = which, cycle * turns[which] + before
        found = np.empty_like(places)
        for which in np.unique(part_of):
            here, there = part_of == which, stream + _FIRST_STREAM + int(which)
            chosen = self.parts[which].pick_by_epoch(own[here], block_size, seed, stream=there)
            found[here] = offsets[which] + chosen
        return found

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Return windows of any of the sources, in the given order.

        Args:
            windows: (B,) int64, each in 0 ... windows(block_size) - 1.
            block_size: T, the length of a window.

        Returns:
            x and y, (B, T) int64 each; a mask, (B, T) float32, and segments, (B, T) int64, if a
            source among them has some.
        """
        offsets = self._offsets(block_size)
        part_of = np.searchsorted(offsets, windows, side="right") - 1
        shape = len(windows), block_size
        x, y = torch.empty(shape, dtype=torch.int64), torch.empty(shape, dtype=torch.int64)
        mask, has_mask = torch.ones(shape), False
        segments, has_segments = torch.zeros(shape, dtype=torch.int64), False
        for which in np.unique(part_of):
            here = np.flatnonzero(part_of == which)
            batch = self.parts[which].take(windows[here] - offsets[which], block_size)
            rows = torch.from_numpy(here)
            x[rows], y[rows] = batch.x, batch.y
            if batch.mask is not None:
                mask[rows], has_mask = batch.mask, True
            if batch.segments is not None:
                segments[rows], has_segments = batch.segments, True
        return Batch(x, y, mask if has_mask else None, segments if has_segments else None)

    def chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Yield all tokens of one source after another."""
        for part in self.parts:
            yield from part.chunks()

    def content(self) -> Iterator[NDArray[Any]]:
        """Yield the content of one source after another, each with its share as float64."""
        for part, share in zip(self.parts, self.shares, strict=True):
            yield from part.content()
            yield np.array([share], "<f8")

    def explain_left_out(self, block_size: int) -> str | None:
        """Return what can never be drawn, in words; None where there is nothing."""
        found = [why for p in self.parts if (why := p.explain_left_out(block_size)) is not None]
        return ", and ".join(found) or None

    def highest_id(self) -> int:
        """Return the highest id, or -1 if there are no tokens."""
        return max(part.highest_id() for part in self.parts)

    def longest(self) -> int:
        """Return the length of the longest stretch of the source where that is shortest."""
        return min(part.longest() for part in self.parts)

    def _count_windows(self, block_size: int) -> NDArray[np.int64]:
        return np.array([part.windows(block_size) for part in self.parts], np.int64)

    def _offsets(self, block_size: int) -> NDArray[np.int64]:
        """Return the number of the first window of each source."""
        counts = self._count_windows(block_size)
        offsets: NDArray[np.int64] = np.cumsum(counts) - counts
        return offsets

    def _count_turns(self) -> NDArray[np.int64]:
        """Return how many windows of a cycle each source has, by the largest remainders."""
        wanted = np.array(self.shares) * _CYCLE
        turns: NDArray[np.int64] = np.maximum(np.floor(wanted), 1).astype(np.int64)
        by_remainder = np.argsort(turns - wanted, kind="stable")
        turns[by_remainder[: max(0, _CYCLE - int(turns.sum()))]] += 1
        turns[np.argmax(turns)] -= turns.sum() - _CYCLE  # what those of at least one took
        return turns

    def _order_cycle(self, cycle: int, seed: int, stream: int) -> NDArray[np.int64]:
        """Return which source each window of a cycle comes from, (4096,) int64."""
        key = cycle, seed, stream
        if key not in self._cycles:
            if len(self._cycles) >= _KEPT_CYCLES:
                self._cycles.clear()
            ends, slots = np.cumsum(self._count_turns()), np.arange(_CYCLE, dtype=np.int64)
            order = permute(slots, _CYCLE, seed, cycle, stream + _CYCLE_STREAM)
            self._cycles[key] = np.searchsorted(ends, order, side="right").astype(np.int64)
        return self._cycles[key]
