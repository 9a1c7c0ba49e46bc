import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.families.sizes import (
    convert_sizes,
    describe_sizes,
    find_head_width,
)

HELD = {"vocab_size": 61, "max_position_embeddings": 16, "hidden_size": 24}
HELD |= {"intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 4}


@pytest.mark.parametrize(
    ("change", "width"),
    [({}, 6), ({"head_dim": 6}, 6), ({"head_dim": 10}, 10), ({"num_key_value_heads": 2}, 6)],
)
def test_sizes_come_back_as_they_are_written(change, width):
    sizes = convert_sizes(HELD | change, "config.json")
    assert find_head_width(sizes) == width
    assert convert_sizes(describe_sizes(GPTConfig(**sizes)), "config.json") == sizes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_key_value_heads": 3}, "#/num_key_value_heads: is 3, which does not divide the 4"),
        ({"hidden_size": 24.0}, "hidden_size: is 24.0, not a positive whole number"),
        ({"head_dim": 0}, "head_dim: is 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change, message):
    with pytest.raises(FormatError, match=message):
        convert_sizes(HELD | change, "config.json")


LAYERS = {"num_hidden_layers", "n_layer", "num_layers"}
SIZES = {
    "sliding_window": 8,
    "vocab_size": 9,
    "max_position_embeddings": 8,
    "n_positions": 8,
    "hidden_size": 8,
    "n_embd": 8,
    "num_attention_heads": 2,
    "n_head": 2,
    "num_heads": 2,
    "intermediate_size": 8,
    "num_key_value_heads": 2,
    "head_dim": 4,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_more_layers_than_any_model_has_are_refused_before_they_are_listed(family):
    held = FAMILIES[family]
    known = held.keys.read | held.defaults.keys()
    config = {**held.defaults, **{key: size for key, size in SIZES.items() if key in known}}
    config |= dict.fromkeys(LAYERS & known, 2**31 - 1)
    with pytest.raises(FormatError, match="at most 100000 layers"):
        held.convert_config(config, "config.json")
