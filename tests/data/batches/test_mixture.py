"""Windows of several sources come by their shares, and each source has epochs of its own."""

from collections import Counter

import numpy as np
import pytest

from mypt.data.batches.episodes import EpisodeSource
from mypt.data.batches.mixture import MixtureSource
from mypt.data.batches.tokens import TokenSource
from mypt.data.dataset import EpisodeArrays
from mypt.data.randomness import Purpose, uniform

T = 4


def tokens(first, count):
    return TokenSource([np.arange(first, first + count, dtype=np.uint16)])


def episodes():
    ids = np.arange(3000, 3012, dtype=np.uint16)
    return EpisodeSource([EpisodeArrays(ids, np.array([[0, 5], [5, 7]]), None)])


def mixture(*shares):
    parts = [tokens(0, 60), tokens(1000, 500), tokens(2000, 30)][: len(shares)]
    return MixtureSource(parts, shares)


def sources_of(batch):
    return (batch.x[:, 0] // 1000).tolist()


def test_each_window_comes_from_a_source_by_its_share():
    source = mixture(2, 5, 3)
    places = uniform(1, Purpose.TRAIN_BATCH, 0, 0, 20_000)
    batch = source.take(source.pick(places, T), T)
    found = Counter(sources_of(batch))
    for which, share in enumerate((0.2, 0.5, 0.3)):
        assert abs(found[which] / 20_000 - share) < 0.01
    assert (batch.y == batch.x + 1).all()  # no window spans two sources
    of_first = batch.x[:, 0][batch.x[:, 0] < 1000]
    counts = Counter(of_first.tolist())
    assert set(counts) == set(range(60 - T))  # each of its windows, alike
    assert max(counts.values()) < 2 * min(counts.values())


def test_the_ends_of_the_interval_are_windows_too():
    source = mixture(1, 1, 1)
    places = np.array([0.0, 1 / 3, 2 / 3, np.nextafter(1, 0)])
    assert sources_of(source.take(source.pick(places, T), T)) == [0, 1, 2, 2]


def test_shares_are_ratios():
    places = uniform(3, Purpose.TRAIN_BATCH, 1, 0, 100)
    assert (mixture(2, 6).pick(places, T) == mixture(0.25, 0.75).pick(places, T)).all()


@pytest.mark.parametrize("shares", [(1, 1, 1), (0.7, 0.2, 0.1), (1000, 1, 0.0001)])
def test_in_each_cycle_a_source_has_its_share_and_at_least_one(shares):
    source = mixture(*shares)
    total = sum(shares)
    for cycle in (0, 7):
        places = np.arange(4096) + 4096 * cycle
        found = Counter(sources_of(source.take(source.pick_by_epoch(places, T, 5), T)))
        assert sum(found.values()) == 4096
        for which, share in enumerate(shares):
            assert found[which] >= 1
            assert abs(found[which] - 4096 * share / total) < 2


def test_by_epochs_each_source_takes_each_of_its_blocks_once_before_any_again():
    source = mixture(0.5, 0.3, 0.2)
    batch = source.take(source.pick_by_epoch(np.arange(9000), T, 5), T)
    first = batch.x[:, 0].numpy()
    for which, part in enumerate(source.parts):
        own, n = first[first // 1000 == which], part.blocks(T)
        epochs = [own[i : i + n] for i in range(0, len(own) - n, n)]
        assert len(epochs) > 3
        assert all(len(set(epoch)) == n for epoch in epochs)
        assert any((epochs[0] != epoch).any() for epoch in epochs[1:])


def test_a_place_in_the_epochs_is_all_that_decides():
    places = np.arange(10_000)
    whole = mixture(3, 2, 1).pick_by_epoch(places, T, 5)
    other = mixture(3, 2, 1)
    for start in (9_990, 4_090, 0, 12):
        here = slice(start, start + 10)
        assert (other.pick_by_epoch(places[here], T, 5) == whole[here]).all()
    assert (mixture(3, 2, 1).pick_by_epoch(places, T, 6) != whole).any()


def test_episodes_and_shards_share_a_batch():
    source = MixtureSource([tokens(0, 60), episodes()], [1, 1])
    places = uniform(1, Purpose.TRAIN_BATCH, 0, 0, 64)
    batch = source.take(source.pick(places, 8), 8)
    of_episodes = batch.x[:, 0] >= 3000
    assert 0 < of_episodes.sum() < 64
    assert (batch.mask[~of_episodes] == 1).all()  # all of a text counts
    assert (batch.mask[of_episodes].sum(1) < 8).all()  # and nothing of the padding
    only_text = source.take(np.array([0, 1]), 8)
    assert only_text.mask is None


def test_it_counts_what_all_sources_have():
    source = mixture(1, 2, 1)
    assert len(source) == 590
    assert source.windows(T) == 590 - 3 * T
    assert source.highest_id() == 2029
    assert source.reach(T) == 590
    assert sum(map(len, source.chunks())) == 590
