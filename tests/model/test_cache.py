import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.model.cache import KVCache, LayerCache


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


@pytest.mark.parametrize(("asked", "room"), [(None, 8), (3, 3), (99, 8)])
def test_no_more_fits_than_a_block(asked, room):
    cache = KVCache(GPTConfig(block_size=8, n_layer=2), asked)
    layer = cache.layers[1]
    fits = torch.zeros(1, 1, room, 2)
    layer.extend(fits, fits, 0)
    with pytest.raises(RuntimeError):
        layer.extend(fits[:, :, :1], fits[:, :, :1], room)
