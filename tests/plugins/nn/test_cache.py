import random

import pytest
import torch

from mypt.plugins.nn.cache import LayerCache, WindowCache, make_layer_cache


def test_what_was_stored_comes_back_with_what_is_new():
    cache = LayerCache(8)
    k, v = torch.randn(2, 3, 6, 4), torch.randn(2, 3, 6, 5)  # values may be wider than keys
    cache.extend(k[:, :, :4], v[:, :, :4], 0)
    keys, values = cache.extend(k[:, :, 4:], v[:, :, 4:], 4)
    assert torch.equal(keys, k)
    assert torch.equal(values, v)


def test_positions_from_the_start_on_are_replaced_in_the_same_memory():
    cache = LayerCache(8)
    before, _ = cache.extend(torch.zeros(1, 1, 5, 2), torch.zeros(1, 1, 5, 2), 0)
    after, _ = cache.extend(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), 2)
    assert after[0, 0, :, 0].tolist() == [0, 0, 1]
    assert after.data_ptr() == before.data_ptr()


def fill(cache, k, v, sizes, window):
    """Feed a text in pieces; each time exactly what the new positions see must come back."""
    start = 0
    for size in sizes:
        new = slice(start, start + size)
        keys, values = cache.extend(k[:, :, new], v[:, :, new], start)
        seen = slice(max(0, start - window + 1), start + size)
        assert torch.equal(keys, k[:, :, seen])
        assert torch.equal(values, v[:, :, seen])
        start += size


def pieces(length, rng):
    """Cut a length into pieces: mostly of one token, some longer than any window here."""
    sizes = []
    while length:
        sizes.append(min(length, rng.choice((1, 1, 1, 1, 2, 7, 33, 90))))
        length -= sizes[-1]
    return sizes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window", [1, 2, 8, 31, 64])
def test_a_window_is_returned_whatever_the_pieces(window, seed):
    cache = WindowCache(300, window)
    rng = random.Random(seed)
    for _ in range(2):  # the second text starts over in the same memory
        k, v = torch.randn(2, 3, 300, 4), torch.randn(2, 3, 300, 5)
        fill(cache, k, v, pieces(300, rng), window)
        fill(cache, k, v, [1] * 300, window)


@pytest.mark.parametrize("first", [1, 300, 2000])
def test_only_the_window_is_kept_in_memory(first):
    cache, whole = WindowCache(2048, 256), LayerCache(2048)
    k = torch.randn(1, 2, 2048, 8)
    fill(cache, k, k, [first, *[1] * (2048 - first)], 256)
    whole.extend(k, k, 0)
    assert cache.nbytes <= 1.25 * whole.nbytes * 256 / 2048


def test_moving_the_window_costs_less_than_a_position_takes(monkeypatch):
    """The window moves once per so many tokens that this adds few positions to each."""
    moves = []
    move = WindowCache._move
    monkeypatch.setattr(WindowCache, "_move", lambda *args: moves.append(1) or move(*args))
    cache = WindowCache(2048, 256)
    k = torch.randn(1, 1, 2048, 2)
    fill(cache, k, k, [1] * 2048, 256)
    assert len(moves) * 256 < 4.5 * 2048


def test_keys_that_are_gone_are_not_made_up():
    cache = WindowCache(100, 4)
    k = torch.randn(1, 1, 100, 2)
    fill(cache, k, k, [1] * 100, 4)
    cache.extend(k[:, :, 99:], k[:, :, 99:], 99)  # the last position is still replaceable
    with pytest.raises(ValueError, match="begin at 0"):
        cache.extend(k[:, :, :1], k[:, :, :1], 30)
    cache.extend(k[:, :, :1], k[:, :, :1], 0)


@pytest.mark.parametrize("window", [None, 8, 9])
def test_a_window_as_long_as_the_text_is_none(window):
    assert type(make_layer_cache(8, window)) is LayerCache
    assert type(make_layer_cache(9, 8)) is WindowCache
