"""Rows of different lengths in one pass: those of about one length together, padded at the end.

What stands behind a position changes nothing before it, so each row is what it is alone.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

    from mypt.model.transformer import Transformer

T = TypeVar("T")
# Batches that are sorted together: the more, the less padding, and the longer a reader waits.
TOGETHER = 16


def take_chunks(items: Iterable[T], batch_size: int) -> Iterator[list[T]]:
    """Yield the items in lists as long as what is sorted together."""
    left = iter(items)
    while chunk := list(islice(left, TOGETHER * batch_size)):
        yield chunk


def batch_by_length(
    items: Sequence[T], length_of: Callable[[T], int], batch_size: int
) -> Iterator[list[T]]:
    """Yield all items in batches of about one length, the longest first."""
    ordered = sorted(items, key=length_of, reverse=True)
    for first in range(0, len(ordered), batch_size):
        yield ordered[first : first + batch_size]


def compute_padded(model: Transformer, rows: Sequence[Sequence[int]]) -> list[Tensor]:
    """Compute the last hidden states of rows of ids, without dropout only in evaluation mode.

    Args:
        model: The model.
        rows: Ids, each at least one and at most block_size.

    Returns:
        Of each row (T, n_embd), on the model's device.
    """
    idx = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for row, ids in zip(idx, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    hidden = model.hidden(idx.to(next(model.parameters()).device))
    return [states[: len(ids)] for states, ids in zip(hidden, rows, strict=True)]
