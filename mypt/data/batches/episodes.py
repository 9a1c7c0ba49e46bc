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

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen

from mypt.data.batches.batch import Batch
from mypt.data.batches.numbered_windows import NumberedWindows
from mypt.format.errors import DataError, Problem, format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from mypt.data.dataset import EpisodeArrays

_CHUNK = 1 << 22


def _to_tuple(parts: Iterable[EpisodeArrays]) -> tuple[EpisodeArrays, ...]:
    return tuple(parts)


@frozen(eq=False)
class EpisodeSource(NumberedWindows):
    """The episodes of one split; each episode is one row of a batch.

    A row holds the end of its episode, and an episode without a target there teaches nothing. Such
    episodes are left out: they have no window.

    Attributes:
        parts: The arrays of each folder; an episode lies within one.
        pad_id: The id that fills a row after its episode ends; it never counts as a target.
    """

    parts: tuple[EpisodeArrays, ...] = field(converter=_to_tuple)
    pad_id: int = 0
    _learnt: dict[int, NDArray[np.int64]] = field(factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """Return the number of tokens in all episodes."""
        return sum(int(part.spans[:, 1].sum()) for part in self.parts)

    @property
    def episodes(self) -> int:
        """Number of episodes, with those that are left out."""
        return sum(len(part.spans) for part in self.parts)

    def windows(self, block_size: int) -> int:
        """Return the number of episodes with a target in their last `block_size` tokens."""
        return self.count_learnt(block_size)

    def blocks(self, block_size: int) -> int:
        """Return the number of windows: each is an episode."""
        return self.windows(block_size)

    def reach(self, block_size: int, *, by_blocks: bool = False) -> int:  # noqa: ARG002
        """Return the number of tokens in the rows: of each episode, as many as its row holds."""
        return int(np.minimum(self.lengths(block_size), block_size + 1).sum())

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the numbers unchanged: a block is an episode."""
        return numbers

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Return a batch with one episode per row.

        Of a long episode the last `block_size` + 1 tokens are kept; a short one is padded at its
        end.

        Args:
            windows: (B,) int64, the numbers of the episodes, without those that are left out.
            block_size: T, the length of a row.

        Returns:
            x and y, (B, T) int64 each; mask, (B, T) float32, aligned with y and 0 on padding. Each
            row has a weight above 0.
        """
        rows = np.full((len(windows), block_size + 1), self.pad_id, np.int64)
        weights = np.zeros((len(windows), block_size + 1), np.float32)
        for row, number in enumerate(windows.tolist()):
            ids, found = self.read(number, block_size)
            rows[row, : len(ids)], weights[row, : len(ids)] = ids, found
        x, y = torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())
        return Batch(x, y, torch.from_numpy(weights[:, 1:].copy()))

    def read(self, window: int, block_size: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return what a row holds of one episode: its ids, and the weight of each as a target.

        Args:
            window: Number of the episode, without those that are left out.
            block_size: T; the last T + 1 tokens at most.

        Returns:
            (N,) integers, and (N,) numbers.
        """
        number = self._number_learnt(block_size)[window]
        which = int(np.searchsorted(self._ends, number, side="right"))
        part = self.parts[which]
        start, length = map(int, part.spans[number - self._ends[which]])  # counted from its end
        here = slice(max(start, start + length - block_size - 1), start + length)
        ids = part.tokens[here]
        return ids, np.ones(len(ids), np.uint8) if part.mask is None else part.mask[here]

    def lengths(self, block_size: int) -> NDArray[np.int64]:
        """Return the number of tokens of each episode that is not left out, (W,) int64."""
        lengths = np.concatenate([part.spans[:, 1] for part in self.parts])
        return lengths[self._number_learnt(block_size)]

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

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """The number after that of the last episode of each part."""
        return np.cumsum([len(part.spans) for part in self.parts])

    @cached_property
    def reaches(self) -> NDArray[np.int64]:
        """The smallest block_size at which each episode has a target, (E,); 0 where none does."""
        return np.concatenate([_find_reaches(part) for part in self.parts])

    def count_learnt(self, block_size: int | None) -> int:
        """Return the number of episodes with a target in their last `block_size` tokens."""
        if block_size is None:
            return int(np.count_nonzero(self.reaches))
        return len(self._number_learnt(block_size))

    def explain_left_out(self, block_size: int | None) -> str | None:
        """Return how many episodes are left out, in words; None where all are learnt from.

        Args:
            block_size: T; None counts those that have no target for any.
        """
        learnt = self.count_learnt(block_size)
        if learnt == self.episodes:
            return None
        left_out = format_count(self.episodes - learnt, "episode")
        place = "" if block_size is None else f" in the last {block_size} tokens (block_size)"
        return f"holds {left_out} of {self.episodes:,} without a target{place}"

    def explain_cut(self, block_size: int) -> str | None:
        """Return of how many episodes a row holds only the end, in words; None where of none."""
        cut = int(np.count_nonzero(self.lengths(block_size) > block_size + 1))
        if not cut:
            return None
        return (
            f"holds {format_count(cut, 'episode')} of {self.episodes:,} longer than block_size + 1 "
            f"= {block_size + 1:,} tokens, of which only the end is learnt"
        )

    def _number_learnt(self, block_size: int) -> NDArray[np.int64]:
        """Return the numbers of the episodes that are not left out; computed once."""
        if block_size not in self._learnt:
            here = (self.reaches > 0) & (self.reaches <= block_size)
            self._learnt[block_size] = np.flatnonzero(here)
        return self._learnt[block_size]


def check_targets(splits: Mapping[str, EpisodeSource], block_size: int | None, source: str) -> None:
    """Raise if all episodes of a split are left out.

    Args:
        splits: The episodes, by split.
        block_size: T; None for any.
        source: What to call the data.

    Raises:
        DataError: There are episodes, and none has a target in its last `block_size` tokens.
    """
    problems = []
    for name, split in splits.items():
        why = split.explain_left_out(block_size)
        if why is None or split.count_learnt(block_size):
            continue
        reaches = split.reaches[split.reaches > 0]
        fix = "use conversations that leave something to learn in both splits"
        if len(reaches):
            least = reaches.min()
            fix = f"use a block_size of at least {least}, or remove what follows the last answer"
        problems.append(Problem(source, name, why, fix, kind="data.targets"))
    if problems:
        raise DataError(*problems)


def _find_reaches(part: EpisodeArrays) -> NDArray[np.int64]:
    """Return how far from its end each episode has its last target: 1 for the last token.

    0 where none but the first token is a target, which nothing comes before.
    """
    starts, lengths = part.spans[:, 0], part.spans[:, 1]
    reaches = np.where(lengths > 1, 1, 0)
    if part.mask is None:
        return reaches
    mask = np.asarray(part.mask)  # a memmap is slower to slice
    last = (starts + lengths - 1)[reaches > 0]
    ends_otherwise = np.flatnonzero(reaches)[~(mask[last] > 0)]
    for number in ends_otherwise:  # few: what the assistant says ends most conversations
        start, length = starts[number], lengths[number]
        targets = np.flatnonzero(mask[start + 1 : start + length] > 0)
        reaches[number] = length - 1 - targets[-1] if len(targets) else 0
    return reaches


def _iter_chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), _CHUNK):
        yield array[start : start + _CHUNK]
