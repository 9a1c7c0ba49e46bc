import math

import pytest
import torch

from mypt.model.contexts import PassContexts, list_kinds
from mypt.plugins import Placement

CPU = torch.device("cpu")


def rotate(x):
    return x


def rotate_sliding(x):
    return x + 1


def contexts(tiny, length, start=0, *, placement=None, **config):
    config = tiny(n_layer=4, pos_encoding="rope", **config)
    placed = Placement(rotate=rotate, rotate_sliding=rotate_sliding)
    return PassContexts(list_kinds(config), placement or placed, start, length, CPU)


def test_a_plain_model_needs_no_mask_and_one_context(tiny):
    made = contexts(tiny, 5)
    found = [made.of_layer(layer) for layer in range(4)]
    assert found[0] == (0, rotate, None, None)
    assert all(context is found[0] for context in found)


def test_each_kind_of_layer_has_its_own_context(tiny):
    made = contexts(tiny, 5, sliding_window=2, window_pattern="SF", rope_pattern="RRRN")
    found = [made.of_layer(layer) for layer in range(4)]
    assert [context.window for context in found] == [2, None, 2, None]
    assert [context.rotate for context in found] == [rotate_sliding, rotate, rotate_sliding, None]
    assert found[0] is found[2]
    assert found[1].mask is found[3].mask is None
    assert made.of_window(2) is found[0]


def test_the_masks_of_a_window_are_made_once(tiny):
    made = contexts(tiny, 5, sliding_window=2, rope_pattern="RN")
    assert made.of_layer(0).mask is made.of_layer(1).mask


def test_without_a_second_rotation_windowed_layers_use_the_first(tiny):
    made = contexts(tiny, 5, sliding_window=2, placement=Placement(rotate=rotate))
    assert made.of_layer(0).rotate is rotate


def seen_by_hand(start, length, window):
    first = max(0, start - window + 1)
    return [
        [position - window < key <= position for key in range(first, start + length)]
        for position in range(start, start + length)
    ]


@pytest.mark.parametrize("window", [1, 3, 4, 7])
@pytest.mark.parametrize(("start", "length"), [(0, 1), (0, 4), (0, 9), (2, 3), (6, 1), (6, 5)])
def test_a_position_sees_its_window_and_no_key_that_the_cache_has_dropped(
    tiny, start, length, window
):
    mask = contexts(tiny, length, start, sliding_window=window).of_layer(0).mask
    if length == 1 or (start == 0 and length <= window):
        assert mask is None
    else:
        assert mask.tolist() == seen_by_hand(start, length, window)


@pytest.mark.parametrize(("start", "length"), [(0, 4), (3, 4), (5, 1)])
@pytest.mark.parametrize("window", [None, 3])
def test_a_bias_is_masked_and_cut_to_the_keys_of_the_window(tiny, start, length, window):
    end, first = start + length, 0 if window is None else max(0, start - (window or 0) + 1)
    bias = torch.randn(1, 3, length, end)
    changed = {} if window is None else {"sliding_window": window}
    mask = contexts(tiny, length, start, placement=Placement(bias=bias), **changed).of_layer(1).mask
    assert mask.shape == (1, 3, length, end - first)
    seen = torch.tensor(seen_by_hand(start, length, window or end))
    assert torch.equal(mask, bias[..., first:].masked_fill(~seen, -math.inf))


def test_a_bias_that_is_the_same_for_all_keys_is_not_cut(tiny):
    bias = torch.zeros(3, 1, 1)
    found = contexts(tiny, 1, 9, placement=Placement(bias=bias), sliding_window=2).of_layer(0)
    assert found.mask is bias
