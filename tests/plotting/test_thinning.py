"""A thinned curve looks like the whole one."""

import math

from mypt.plotting.thinning import thin_items, thin_points


def test_few_points_are_left_alone():
    points = [(float(x), float(x)) for x in range(40)]
    assert thin_points(points, buckets=10) == tuple(points)


def test_ends_peaks_and_gaps_stay():
    points = [(float(x), 1.0) for x in range(100_000)]
    points[31_415] = (31_415.0, 9.0)
    points[27_182] = (27_182.0, -9.0)
    points[70_000] = (70_000.0, math.nan)
    thin = thin_points(points, buckets=100)
    assert len(thin) <= 500
    assert [x for x, _ in thin] == sorted({x for x, _ in thin})
    assert {points[0], points[-1], points[31_415], points[27_182]} <= set(thin)
    assert any(math.isnan(y) for _, y in thin)


def test_a_curve_of_gaps_alone_is_a_gap():
    assert all(math.isnan(y) for _, y in thin_points([(x, math.nan) for x in range(1000)], 10))


def test_items_are_evenly_spaced_from_the_first_to_the_last():
    assert thin_items(range(10), 20) == list(range(10))
    assert thin_items(range(101), 11) == list(range(0, 101, 10))
