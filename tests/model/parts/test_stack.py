"""Models whose layers differ: windows, layers without rotation, one layer after the other."""

import pytest
import torch

from mypt.model.decoding.decoder import Decoder, plain_linear
from mypt.plugins.nn.cache import LayerCache, WindowCache

PATTERNS = [
    {"sliding_window": 3},
    {"sliding_window": 3, "window_pattern": "SF"},
    {"pos_encoding": "rope", "rope_pattern": "RN", "sliding_window": 4, "window_pattern": "FS"},
]


def cached(model, idx, sizes):
    cache = model.make_cache()
    return torch.cat([model(piece, cache) for piece in idx.split(sizes, dim=1)], dim=1)


@torch.no_grad()
@pytest.mark.parametrize("changed", PATTERNS, ids=str)
def test_a_text_in_pieces_has_the_logits_of_the_whole(make_model, ids, changed):
    model, idx = make_model(n_layer=3, **changed), ids(2, 16)
    whole = model(idx)
    for sizes in ([1] * 16, [9, 7], [5, 1, 1, 6, 1, 2]):
        torch.testing.assert_close(cached(model, idx, sizes), whole)
    decoder, cache = Decoder(model, plain_linear), model.make_cache()
    for place in range(16):
        found = decoder.next_logits(idx[:, place : place + 1], cache)
        torch.testing.assert_close(found, whole[:, place])


def test_a_layer_with_a_window_keeps_no_more(make_model):
    model = make_model(n_layer=3, block_size=64, sliding_window=3, window_pattern="SF")
    assert [type(kept) for kept in model.make_cache().layers] == [
        WindowCache,
        LayerCache,
        WindowCache,
    ]


def test_its_layers_are_itself_and_keep_their_names(make_model):
    model = make_model(n_layer=3)
    assert [*model.blocks.layers] == [*model.blocks]
    names = {name.split(".")[1] for name in model.state_dict() if name.startswith("blocks.")}
    assert names == {"0", "1", "2"}
