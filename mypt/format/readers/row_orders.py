"""Orders of the rows of queries, keys and values in other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.readers.shared.tensor_source import RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.documents.config import GPTConfig


def join_groups(config: GPTConfig) -> RowOrder:
    """Return the order of rows that lie group by group: queries, then their key and value.

    A group is what shares a head of keys: a single head where each has keys of its own.

    Args:
        config: The architecture.
    """
    width, groups = config.head_width, config.kv_heads
    queries = config.n_head // groups
    size = (queries + 2) * width

    def take(begin: int, end: int) -> Iterator[slice]:
        for first in range(0, groups * size, size):
            yield slice(first + begin * width, first + end * width)

    parts = ((0, queries), (queries, queries + 1), (queries + 1, queries + 2))
    return RowOrder(groups * size, tuple(rows for part in parts for rows in take(*part)))


def split_head(first: int, config: GPTConfig) -> Iterator[slice]:
    """Yield the rows of a head of which rotation pairs neighbours.

    The first of each pair come first, then the second ones, then what is not rotated.

    Args:
        first: Its first row.
        config: The architecture; rope rotates the first values of its heads.
    """
    end = first + config.rotated_width
    yield slice(first, end, 2)
    yield slice(first + 1, end, 2)
    if end < first + config.head_width:
        yield slice(end, first + config.head_width)


def split_pairs(config: GPTConfig) -> RowOrder:
    """Return the order of rows of which rotation pairs neighbours: the first of each pair first.

    The rows are those of all queries, of all keys and of all values, in this order.

    Args:
        config: The architecture; rope rotates the first values of its heads.
    """
    end = config.attention_width + config.kv_width
    starts = range(0, end, config.head_width)
    heads = (rows for first in starts for rows in split_head(first, config))
    total = end + config.kv_width
    return RowOrder(total, (*heads, slice(end, total)))
