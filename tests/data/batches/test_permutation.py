import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mypt.data.batches.permutation import permute


def order(n, seed=0, epoch=0):
    return permute(np.arange(n), n, seed, epoch).tolist()


@settings(max_examples=60)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_each_thing_comes_once(n, seed, epoch):
    assert sorted(order(n, seed, epoch)) == list(range(n))


def test_any_part_is_that_of_the_whole():
    whole = order(1000, 5, 2)
    for places in ([3], [999, 0, 17], list(range(500, 600))):
        assert permute(np.array(places), 1000, 5, 2).tolist() == [whole[p] for p in places]


def test_seed_and_epoch_each_give_another_order():
    orders = [order(100, seed, epoch) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    assert len({tuple(one) for one in orders}) == 3


def test_a_golden_order():
    assert order(10, 1337, 0) == [7, 5, 0, 4, 8, 2, 6, 3, 9, 1]
    assert permute(np.array([0, 1, 2**62 - 1]), 2**62, 1, 2).tolist() == [
        4220190393155683582,
        1890767301630014321,
        2165475520467410067,
    ]


def test_small_orders_come_up_evenly():
    counts = np.zeros((4, 4), int)
    for epoch in range(2000):
        counts[np.arange(4), order(4, 7, epoch)] += 1
    assert counts.min() > 400  # 500 expected
    assert counts.max() < 600


def test_neighbours_are_not_kept_together():
    places = np.array(order(10_000, 3, 1))
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 0.05
    assert abs(np.corrcoef(np.arange(10_000), places)[0, 1]) < 0.05
