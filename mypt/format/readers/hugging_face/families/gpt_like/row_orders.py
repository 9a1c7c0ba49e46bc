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


def split_pairs(config: GPTConfig) -> RowOrder:
    """Return the order of rows of which rotation pairs neighbours: the first of each pair first.

    The rows are those of all queries, of all keys and of all values, in this order.

    Args:
        config: The architecture; rope rotates the first values of its heads.
    """
    width, turned = config.head_width, config.rotated_width
    end = config.attention_width + config.kv_width

    def split_head(first: int) -> Iterator[slice]:
        yield slice(first, first + turned, 2)
        yield slice(first + 1, first + turned, 2)
        if turned < width:
            yield slice(first + turned, first + width)

    heads = (rows for first in range(0, end, width) for rows in split_head(first))
    total = end + config.kv_width
    return RowOrder(total, (*heads, slice(end, total)))
