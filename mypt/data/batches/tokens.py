"""Token ids in memory or on disk, and the windows cut from them."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen
from numpy.lib.stride_tricks import sliding_window_view

from mypt.data.batches.batch import Batch
from mypt.data.batches.numbered_windows import NumberedWindows
from mypt.format.errors import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from mypt.data.batches.batch import BatchSource

    Shard = NDArray[np.unsignedinteger[Any]]

_CHUNK = 1 << 22  # ids processed at once; bounds the memory of a pass over a large data set


def _to_arrays(shards: Iterable[Shard]) -> tuple[Shard, ...]:
    return tuple(np.asarray(shard) for shard in shards)  # a memmap indexes slower than an array


@frozen(eq=False)
class TokenSource(NumberedWindows):
    """The tokens of one split: one or more 1-D arrays, often memory-mapped.

    Attributes:
        shards: (N,) uint16 or uint32 each. A window never spans two shards.
    """

    shards: tuple[Shard, ...] = field(converter=_to_arrays)

    def __len__(self) -> int:
        """Return the number of tokens."""
        return int(self._lengths.sum())

    def windows(self, block_size: int) -> int:
        """Return the number of windows of `block_size` tokens plus the one that follows."""
        return int(self._windows_by_shard(block_size).sum())

    def blocks(self, block_size: int) -> int:
        """Return the number of windows that begin at multiples of `block_size` in their shard.

        Each target is in one of them, except for the remainder at the end of a shard.
        """
        return int(self._blocks_by_shard(block_size).sum())

    def reach(self, block_size: int, *, by_blocks: bool = False) -> int:
        """Return the number of tokens that can be drawn.

        Left out are shards that are too short for a window, and with `by_blocks` the remainder at
        the end of each shard.
        """
        if by_blocks:
            blocks = self._blocks_by_shard(block_size)
            return int((blocks * block_size + (blocks > 0)).sum())
        return int(self._lengths[self._windows_by_shard(block_size) > 0].sum())

    def explain_left_out(self, block_size: int) -> str | None:
        """Return how many shards no window lies in, in words; None where there are none."""
        short = int((self._windows_by_shard(block_size) == 0).sum())
        if not short:
            return None
        lost = len(self) - self.reach(block_size)
        there = f"{format_count(short, 'shard')} of {len(self.shards):,} with {lost:,} tokens"
        return f"holds {there}, too short for block_size {block_size}"

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:
        """Convert block numbers to window numbers.

        Args:
            numbers: (B,) int64, each in 0 ... blocks(block_size) - 1.
            block_size: Length of a window.

        Returns:
            (B,) int64, each in 0 ... windows(block_size) - 1.
        """
        blocks, windows = self._blocks_by_shard(block_size), self._windows_by_shard(block_size)
        ends = np.cumsum(blocks)
        shard_of = np.searchsorted(ends, numbers, side="right")
        within = numbers - (ends - blocks)[shard_of]
        found: NDArray[np.int64] = (np.cumsum(windows) - windows)[shard_of] + within * block_size
        return found

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Return windows, with one index operation per shard that they lie in.

        Args:
            windows: (B,) int64, each in 0 ... windows(block_size) - 1, in any order.
            block_size: T, the length of a window.

        Returns:
            x and y, (B, T) int64 each; y is x shifted by one token. No mask: all targets count.
        """
        if len(self.shards) == 1:
            rows = _cut_rows(self.shards[0], windows, block_size)
        else:
            rows = self._cut_rows_across_shards(windows, block_size)
        x = torch.from_numpy(rows[:, :-1].astype(np.int64))
        y = torch.from_numpy(rows[:, 1:].astype(np.int64))
        return Batch(x, y)

    def chunks(self) -> Iterator[Shard]:
        """Yield all tokens in order, a few million at a time."""
        for shard in self.shards:
            for start in range(0, len(shard), _CHUNK):
                yield shard[start : start + _CHUNK]

    def content(self) -> Iterator[NDArray[Any]]:
        """Yield the ids, each as a little-endian uint32."""
        for chunk in self.chunks():
            yield np.ascontiguousarray(chunk, "<u4")

    def highest_id(self) -> int:
        """Return the highest id, or -1 if there are no tokens."""
        return max((int(chunk.max()) for chunk in self.chunks()), default=-1)

    def longest(self) -> int:
        """Return the number of tokens in the longest shard."""
        return int(self._lengths.max(initial=0))

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.array([len(shard) for shard in self.shards], np.int64)

    def _windows_by_shard(self, block_size: int) -> NDArray[np.int64]:
        return np.maximum(self._lengths - block_size, 0)

    def _blocks_by_shard(self, block_size: int) -> NDArray[np.int64]:
        return np.maximum(self._lengths - 1, 0) // block_size

    def _cut_rows_across_shards(self, indices: NDArray[np.int64], block_size: int) -> NDArray[Any]:
        counts = self._windows_by_shard(block_size)
        ends = np.cumsum(counts)
        shard_of = np.searchsorted(ends, indices, side="right")
        rows = np.empty((len(indices), block_size + 1), np.uint32)
        for number in np.unique(shard_of):
            here = shard_of == number
            starts = indices[here] - (ends[number] - counts[number])
            rows[here] = _cut_rows(self.shards[number], starts, block_size)
        return rows


def sha256_of(sources: Iterable[BatchSource]) -> str:
    """Return the SHA-256 of the splits' content in order; token streams are hashed as uint32."""
    digest = hashlib.sha256()
    for source in sources:
        for part in source.content():
            digest.update(part.data)
    return digest.hexdigest()


def _cut_rows(shard: Shard, starts: NDArray[np.int64], block_size: int) -> NDArray[Any]:
    return sliding_window_view(shard, block_size + 1)[starts]
