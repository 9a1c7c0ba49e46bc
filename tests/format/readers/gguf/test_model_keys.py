import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.errors import FormatError
from mypt.format.readers.gguf.model_keys import ModelKeys, shorten


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_shorter_number_is_the_same_in_single_precision(value):
    short = shorten(value)
    assert struct.pack("<f", short) == struct.pack("<f", value)
    assert len(repr(short)) <= len(repr(value))


def test_numbers_are_as_people_wrote_them():
    (eps,) = struct.unpack("<f", struct.pack("<f", 1e-6))
    assert eps != 1e-6
    assert shorten(eps) == 1e-6
    assert shorten(0.1) == 0.1  # of double precision
    assert shorten(1e300) == 1e300
    assert math.isnan(shorten(math.nan))


def test_a_value_may_be_listed_for_each_layer_if_it_is_the_same():
    keys = ModelKeys("llama", {"same": [4, 4], "other": [4, 2], "none": []}, "model.gguf")
    assert keys.whole("same") == 4
    for key in ("other", "none"):
        with pytest.raises(FormatError, match=f"model.gguf llama.{key}: differs between layers"):
            keys.whole(key)


@pytest.mark.parametrize("value", [0, -1, 2**31, 1.0, True, "4", None])
def test_a_size_is_a_positive_whole_number(value):
    with pytest.raises(FormatError, match=r"llama\.size: is "):
        ModelKeys("llama", {"size": value}, "model.gguf").whole("size")


def test_only_the_keys_of_the_architecture_are_its_own():
    metadata = {"llama.a": 1, "llamas.b": 2, "general.c": 3}
    assert ModelKeys.select(metadata, "llama", "").values == {"a": 1}
