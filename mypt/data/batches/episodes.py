"""Episodes for fine-tuning: whole conversations with a weight for each token.

```
train/ or val/, or their sub-folders shard_00000/ ...
  tokens.bin         ids of all episodes, one after another
  episodes.idx       little-endian uint64 pairs: first token, number of tokens
  mask.bin           uint8: whether a token counts as a target; optional
  mask_weighted.bin  float32 weights from 0 to 1, taken instead of mask.bin where there is one
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen

from mypt.data.batches.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from mypt.data.dataset import EpisodeArrays

_CHUNK = 1 << 22


def _to_tuple(parts: Iterable[EpisodeArrays]) -> tuple[EpisodeArrays, ...]:
    return tuple(parts)


@frozen(eq=False)
class EpisodeSource:
    """The episodes of one split; an episode is one row of a batch.

    Attributes:
        parts: The arrays of each folder; an episode lies within one.
        pad_id: What fills a row after the end of its episode, and never counts.
    """

    parts: tuple[EpisodeArrays, ...] = field(converter=_to_tuple)
    pad_id: int = 0

    def __len__(self) -> int:
        """Count the tokens of all episodes."""
        return sum(int(part.spans[:, 1].sum()) for part in self.parts)

    def windows(self, block_size: int) -> int:  # noqa: ARG002 - a row holds any episode
        """Count the episodes."""
        return sum(len(part.spans) for part in self.parts)

    def blocks(self, block_size: int) -> int:
        """Count the episodes."""
        return self.windows(block_size)

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:  # noqa: ARG002
        """Give the numbers of episodes as they are."""
        return numbers

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Put one episode into each row.

        Of a long one the last `block_size` + 1 tokens are kept; a short one is padded at its end.

        Args:
            windows: (B,) int64, numbers of episodes.
            block_size: T, the length of a row.

        Returns:
            x and y, (B, T) int64 each; mask, (B, T) float32, aligned with y and 0 on padding.
        """
        rows = np.full((len(windows), block_size + 1), self.pad_id, np.int64)
        weights = np.zeros((len(windows), block_size + 1), np.float32)
        counts = np.array([len(part.spans) for part in self.parts])
        ends = np.cumsum(counts)
        part_of = np.searchsorted(ends, windows, side="right")
        for row, (number, which) in enumerate(zip(windows, part_of, strict=True)):
            part = self.parts[which]
            start, length = map(int, part.spans[number - (ends - counts)[which]])
            kept = min(length, block_size + 1)
            here = slice(start + length - kept, start + length)
            rows[row, :kept] = part.tokens[here]
            weights[row, :kept] = 1.0 if part.mask is None else part.mask[here]
        x, y = torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())
        return Batch(x, y, torch.from_numpy(weights[:, 1:].copy()))

    def chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Give all tokens in order, a few million at a time."""
        for part in self.parts:
            yield from _iter_chunks(part.tokens)

    def content(self) -> Iterator[NDArray[Any]]:
        """Give each folder's ids as uint32, its spans as uint64 and its mask as float32."""
        for part in self.parts:
            yield from (np.ascontiguousarray(piece, "<u4") for piece in _iter_chunks(part.tokens))
            yield np.ascontiguousarray(part.spans, "<u8")
            if part.mask is not None:
                yield from (np.ascontiguousarray(piece, "<f4") for piece in _iter_chunks(part.mask))

    def highest_id(self) -> int:
        """Give the highest id there is, -1 where there are no tokens."""
        return max((int(chunk.max()) for chunk in self.chunks()), default=-1)

    def longest(self) -> int:
        """Give the tokens of the longest episode."""
        return max(int(part.spans[:, 1].max(initial=0)) for part in self.parts)


def _iter_chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), _CHUNK):
        yield array[start : start + _CHUNK]
