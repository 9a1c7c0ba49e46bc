"""Pairs of answers to the same prompt, of which one is preferred.

The episodes of a split, as `mypt.data.batches.episodes` has them, are the chosen and the rejected
answer of each pair in turns. Beside them:

```
  reference.bin      float32, the log-likelihood in nats of each episode's targets to the model that
                     training begins from
```

So no second model has to be in memory in training, and a resumed run compares with the same
numbers.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from mypt.data.batches.batch import PairBatch
from mypt.data.batches.numbered_windows import NumberedWindows
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mypt.data.batches.episodes import EpisodeSource


@frozen(eq=False)
class PreferenceSource(NumberedWindows):
    """The pairs of one split; each pair is two rows of a batch.

    Attributes:
        episodes: The answers, chosen and rejected in turns.
    """

    episodes: EpisodeSource

    def __len__(self) -> int:
        """Return the number of tokens in all answers, with their prompts."""
        return len(self.episodes)

    @cached_property
    def reference(self) -> NDArray[np.float32]:
        """The log-likelihood of each answer to the model that is compared with, (2P,), in nats."""
        parts = [part.reference for part in self.episodes.parts if part.reference is not None]
        return np.concatenate(parts).astype(np.float32)

    def windows(self, block_size: int) -> int:  # noqa: ARG002 - all pairs fit; see `check`
        """Return the number of pairs."""
        return self.episodes.episodes // 2

    def blocks(self, block_size: int) -> int:
        """Return the number of pairs."""
        return self.windows(block_size)

    def reach(self, block_size: int, *, by_blocks: bool = False) -> int:  # noqa: ARG002
        """Return the number of tokens in all answers, with their prompts."""
        return len(self)

    def block_windows(self, numbers: NDArray[np.int64], block_size: int) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the numbers unchanged: a block is a pair."""
        return numbers

    def take(self, windows: NDArray[np.int64], block_size: int) -> PairBatch:
        """Return a batch with two rows for each pair, the chosen answer and the rejected one.

        Args:
            windows: (P,) int64, the numbers of the pairs.
            block_size: T, the length of a row.

        Returns:
            x and y, (2P, T) int64 each; mask, (2P, T) float32; reference, (P,) float32.
        """
        rows = np.stack([2 * windows, 2 * windows + 1], axis=1)
        batch = self.episodes.take(rows.reshape(-1), block_size)
        chosen, rejected = self.reference[rows].T
        return PairBatch.of(batch, torch.from_numpy(chosen - rejected))

    def chunks(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Yield all tokens in order, a few million at a time."""
        yield from self.episodes.chunks()

    def content(self) -> Iterator[NDArray[Any]]:
        """Yield the content of the answers, and how likely the reference has them as float32."""
        yield from self.episodes.content()
        yield np.ascontiguousarray(self.reference, "<f4")

    def explain_left_out(self, block_size: int) -> None:
        """Return None: all pairs are learnt from."""

    def highest_id(self) -> int:
        """Return the highest id, or -1 if there are no tokens."""
        return self.episodes.highest_id()

    def longest(self) -> int:
        """Return the number of tokens in the longest answer with its prompt."""
        return self.episodes.longest()


def pair_answers(episodes: EpisodeSource) -> EpisodeSource | PreferenceSource:
    """Return the pairs of which episodes are the answers; themselves where they are none."""
    is_paired = any(part.reference is not None for part in episodes.parts)
    return PreferenceSource(episodes) if is_paired else episodes


def check_pairs(source: PreferenceSource, block_size: int, name: str) -> None:
    """Raise if some answers are not whole in a row.

    Args:
        source: The pairs.
        block_size: T, the length of a row.
        name: What to call them.

    Raises:
        DataError: One is longer, or its pair or its targets are missing.
    """
    episodes = source.episodes
    if episodes.episodes % 2 or len(source.reference) != episodes.episodes:
        what = f"has {episodes.episodes} answers and {len(source.reference)} of the reference"
        raise DataError(Problem(name, "", what, "prepare it again", kind="data.preferences"))
    if episodes.longest() > block_size + 1:
        what = f"has an answer of {episodes.longest()} tokens, which block_size {block_size} cuts"
        fix = "prepare it again with the model that is trained"
        raise DataError(Problem(name, "", what, fix, kind="data.preferences"))
    if episodes.count_learnt(block_size) != episodes.episodes:
        what = "has an answer in which nothing is learnt"
        raise DataError(Problem(name, "", what, "prepare it again", kind="data.preferences"))
