"""How long the conversations of a data set are, and how much of them is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.data.batches.episodes import EpisodeSource
    from mypt.data.dataset import EpisodeArrays

# Of all conversations, how many per cent are at most so long.
PERCENTILES = (50, 90, 99, 100)
_CHUNK = 1 << 24


def describe_conversations(
    sources: Iterable[EpisodeSource], block_size: int | None = None
) -> dict[str, Any]:
    """Count what the conversations of all splits hold.

    Args:
        sources: The splits.
        block_size: T of a model; None for none.

    Returns:
        `conversations`; `tokens`; `learnt_tokens`, those with a weight above 0; `lengths`, in
        tokens, by percentile; and, with a `block_size`, that and `longer`, the number of
        conversations of more than T + 1 tokens.
    """
    parts = [part for source in sources for part in source.parts]
    lengths = np.concatenate([part.spans[:, 1] for part in parts])
    found = np.percentile(lengths, PERCENTILES, method="higher").tolist() if len(lengths) else []
    about: dict[str, Any] = {
        "conversations": len(lengths),
        "tokens": int(lengths.sum()),
        "learnt_tokens": sum(map(_count_learnt, parts)),
        "lengths": {str(p): int(n) for p, n in zip(PERCENTILES, found, strict=False)},
    }
    if block_size is not None:
        longer = int(np.count_nonzero(lengths > block_size + 1))
        about |= {"block_size": block_size, "longer": longer}
    return about


def _count_learnt(part: EpisodeArrays) -> int:
    if part.mask is None:
        return len(part.tokens)
    chunks = range(0, len(part.mask), _CHUNK)
    return sum(int(np.count_nonzero(part.mask[start : start + _CHUNK])) for start in chunks)
