"""Several whole episodes in each row of a batch, none of which sees another.

Which of them share a row follows from their lengths alone, so that rows are windows like others:
random, or once in each epoch.

Source: Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination", for the mask
and the positions; Johnson 1974, "Near-optimal bin packing algorithms", for best fit in the order of
falling lengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen

from mypt.data.batches.batch import Batch
from mypt.data.batches.numbered_windows import NumberedWindows
from mypt.format.errors import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mypt.data.batches.episodes import EpisodeSource


@frozen(eq=False)
class Rows:
    """Which episodes share a row.

    Attributes:
        episodes: Numbers of episodes, those of a row next to each other.
        ends: Where those of each row end, (R,) int64.
        places: Places that all of them take.
    """

    episodes: NDArray[np.int64]
    ends: NDArray[np.int64]
    places: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ends)

    def __getitem__(self, row: int) -> NDArray[np.int64]:
        """Return the numbers of the episodes of a row."""
        return self.episodes[0 if row == 0 else self.ends[row - 1] : self.ends[row]]


@frozen(eq=False)
class PackedEpisodes(NumberedWindows):
    """The episodes of one split, as many to a row as fit; each is in exactly one row.

    Attributes:
        source: The episodes. Those that it leaves out are in no row.
    """

    source: EpisodeSource
    _rows: dict[int, Rows] = field(factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """Return the number of tokens in all episodes."""
        return len(self.source)

    def windows(self, block_size: int) -> int:
        """Return the number of rows."""
        return len(self.rows(block_size))

    def blocks(self, block_size: int) -> int:
        """Return the number of rows."""
        return len(self.rows(block_size))

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the numbers unchanged: a block is a row."""
        return numbers

    def reach(self, block_size: int, *, by_blocks: bool = False) -> int:
        """Return the number of tokens in the rows."""
        return self.source.reach(block_size, by_blocks=by_blocks)

    def rows(self, block_size: int) -> Rows:
        """Return which episodes share a row of `block_size` places; computed once.

        An episode of n tokens takes n - 1 places: its last token is only ever predicted.
        """
        if block_size not in self._rows:
            sizes = np.minimum(self.source.lengths(block_size) - 1, block_size)
            self._rows[block_size] = pack(sizes, block_size)
        return self._rows[block_size]

    def take(self, windows: NDArray[np.int64], block_size: int) -> Batch:
        """Return the rows with these numbers.

        Args:
            windows: (B,) int64.
            block_size: T, the length of a row.

        Returns:
            x and y, (B, T) int64 each; mask, (B, T) float32, 0 on padding; segments, (B, T) int64,
            the number of the episode within its row; the padding after them is one of its own.
        """
        rows, shape = self.rows(block_size), (len(windows), block_size)
        x = np.full(shape, self.source.pad_id, np.int64)
        y, segments, mask = x.copy(), np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        for row, number in enumerate(windows.tolist()):
            begin = 0
            for segment, episode in enumerate(rows[number].tolist()):
                ids, weights = self.source.read(episode, block_size)
                here = slice(begin, begin + len(ids) - 1)
                x[row, here], y[row, here], mask[row, here] = ids[:-1], ids[1:], weights[1:]
                segments[row, begin:] = segment
                begin = here.stop
            segments[row, begin:] += 1
        return Batch(*map(torch.from_numpy, (x, y, mask, segments)))

    def chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Yield all tokens in the order of the files."""
        return self.source.chunks()

    def content(self) -> Iterator[NDArray[Any]]:
        """Yield what the episodes alone would."""
        return self.source.content()

    def explain_left_out(self, block_size: int) -> str | None:
        """Return how many episodes are in no row, in words."""
        return self.source.explain_left_out(block_size)

    def explain_packing(self, block_size: int) -> str:
        """Return how full the rows are, in words."""
        rows = self.rows(block_size)
        episodes = format_count(len(rows.episodes), "episode")
        each = len(rows.episodes) / max(1, len(rows))
        share = rows.places / max(1, len(rows) * block_size)
        return (
            f"packs {episodes} into {format_count(len(rows), 'row')}, {each:.1f} in each, whose "
            f"tokens take {100 * share:.0f} % of its {block_size:,} places"
        )

    def highest_id(self) -> int:
        """Return the highest id, or -1 if there are no tokens."""
        return self.source.highest_id()

    def longest(self) -> int:
        """Return the number of tokens in the longest episode."""
        return self.source.longest()


def pack(sizes: NDArray[np.int64], capacity: int) -> Rows:
    """Put items into as few rows as best fit finds, in the order of falling sizes.

    Args:
        sizes: (N,) int64, each in 1 ... capacity.
        capacity: Places of a row.
    """
    contents: list[list[int]] = []
    by_space: dict[int, list[int]] = {}  # rows with so many places left
    spaces = 0  # bit s is set where there is a row with s places left
    for item in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[item])
        fitting = spaces >> size
        if fitting:
            space = size + (fitting & -fitting).bit_length() - 1
            row = by_space[space].pop()
            if not by_space[space]:
                spaces ^= 1 << space
        else:
            space, row = capacity, len(contents)
            contents.append([])
        contents[row].append(item)
        if space > size:
            by_space.setdefault(space - size, []).append(row)
            spaces |= 1 << space - size
    episodes = np.array([item for row in contents for item in row], np.int64)
    ends = np.cumsum([len(row) for row in contents], dtype=np.int64)
    return Rows(episodes, ends, int(sizes.sum()))
