"""Thin out what is more than a screen shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

Item = TypeVar("Item")
Point = tuple[float, float]

BUCKETS = 1000  # about a pixel of a chart each
MOST_ROWS = 1000  # of a table
MOST_MARKS = 500


def thin_points(points: Sequence[Point], buckets: int = BUCKETS) -> tuple[Point, ...]:
    """Return the points of a curve that looks the same.

    Of each bucket of neighbouring points, the first, the last, the lowest, the highest and one gap
    are kept, so that no peak and no gap disappears.

    Args:
        points: By rising x; y is NaN where a gap is.
        buckets: Number of buckets; up to four times as many points are left alone.

    Source: Jugel et al. 2014 (M4: a visualization-oriented time series data aggregation).
    """
    if len(points) <= 4 * buckets:
        return tuple(points)
    kept: list[Point] = []
    for number in range(buckets):
        bucket = points[len(points) * number // buckets : len(points) * (number + 1) // buckets]
        finite = [point for point in bucket if math.isfinite(point[1])]
        gaps = [point for point in bucket if not math.isfinite(point[1])]
        chosen = {bucket[0], bucket[-1], *gaps[:1]}
        if finite:
            chosen |= {min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])}
        kept += [point for point in dict.fromkeys(bucket) if point in chosen]
    return tuple(kept)


def thin_items(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many of the items, evenly spaced, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[(len(items) - 1) * number // (most - 1)] for number in range(most)]
