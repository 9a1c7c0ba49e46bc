"""Episodes for fine-tuning: whole conversations with a weight for each token.

```
train/ or val/, or their sub-folders shard_00000/ ...
  tokens.bin         ids of all episodes, one after another
  episodes.idx       little-endian uint64 pairs: first token, number of tokens
  mask.bin           uint8: whether a token counts as a target; optional
  mask_weighted.bin  float32 weights from 0 to 1, used instead of mask.bin if present
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
    """The episodes of one split; each episode is one row of a batch.

    Attributes:
        parts: The arrays of each folder; an episode lies within one.
        pad_id: The id that fills a row after its episode ends; it never counts as a target.
    """

    parts: tuple[EpisodeArrays, ...] = field(converter=_to_tuple)
    pad_id: int = 0

    def __len__(self) -> int:
        """Return the number of tokens in all episodes."""
        return sum(int(part.spans[:, 1].sum()) for part in self.parts)

    def windows(self, block_size: int) -> int:  # noqa: ARG002 - a row holds any episode
        """Return the number of episodes."""
        return sum(len(part.spans) for part in self.parts)

    def blocks(self, block_size: int) -> int:
        """Return the number of episodes."""
        return self.windows(block_size)

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the numbers unchanged: a block is an episode."""
        return numbers

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Return a batch with one episode per row.

        Of a long episode the last `block_size` + 1 tokens are kept; a short one is padded at its
        end.

        Args:
            windows: (B,) int64, the numbers of the episodes.
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
        """Yield all tokens in order, a few million at a time."""
        for part in self.parts:
            yield from _iter_chunks(part.tokens)

    def content(self) -> Iterator[NDArray[Any]]:
        """Yield each folder's ids as uint32, its spans as uint64 and its mask as float32."""
        for part in self.parts:
            yield from (np.ascontiguousarray(piece, "<u4") for piece in _iter_chunks(part.tokens))
            yield np.ascontiguousarray(part.spans, "<u8")
            if part.mask is not None:
                yield from (np.ascontiguousarray(piece, "<f4") for piece in _iter_chunks(part.mask))

    def highest_id(self) -> int:
        """Return the highest id, or -1 if there are no tokens."""
        return max((int(chunk.max()) for chunk in self.chunks()), default=-1)

    def longest(self) -> int:
        """Return the number of tokens in the longest episode."""
        return max(int(part.spans[:, 1].max(initial=0)) for part in self.parts)


def _iter_chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), _CHUNK):
        yield array[start : start + _CHUNK]
