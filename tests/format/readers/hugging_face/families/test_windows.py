import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.windows import (
    convert_windows,
    list_layer_types,
    make_pattern,
    read_layer_types,
)


@pytest.mark.parametrize(
    ("layers", "pattern"),
    [
        ([1, 1, 1], None),
        ([0, 0], "F"),
        ([1, 0, 1, 0, 1], "SF"),
        ([1, 1, 0, 1, 1], "SSF"),
        ([0, 1, 1], "FSS"),
        ([1], None),
    ],
)
def test_a_pattern_is_the_shortest_that_says_the_same(layers, pattern):
    assert make_pattern([bool(layer) for layer in layers], "SF") == pattern


@pytest.mark.parametrize("layers", [[True, False, False], [False, True, True], [True] * 3])
def test_types_of_layers_come_back_as_they_are_written(layers):
    fields = convert_windows({"sliding_window": 4}, "config.json", layers)
    held = {"layer_types": list_layer_types(GPTConfig(n_layer=3, **fields))}
    assert list(read_layer_types(held, "config.json", [False] * 3)) == layers


def test_no_window_is_asked_for_where_no_layer_has_one():
    assert convert_windows({}, "config.json", [False, False]) == {}
    with pytest.raises(FormatError, match="sliding_window: is missing"):
        convert_windows({}, "config.json", [False, True])
