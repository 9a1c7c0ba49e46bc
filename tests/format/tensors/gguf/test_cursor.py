import io
import struct

import pytest

from mypt.format.errors import FormatError
from mypt.format.tensors.gguf.cursor import Cursor
from tests.support.gguf_bytes import pack_string


def read(data):
    return Cursor(io.BytesIO(data), "model.gguf")


NUMBERS = {
    0: ("<B", 200),
    1: ("<b", -5),
    2: ("<H", 60000),
    3: ("<h", -300),
    4: ("<I", 2**31),
    5: ("<i", -(2**30)),
    6: ("<f", 0.5),
    10: ("<Q", 2**63),
    11: ("<q", -(2**62)),
    12: ("<d", 0.1),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_each_type_of_number_is_read_alone_and_in_a_list(kind):
    form, value = NUMBERS[kind]
    assert read(struct.pack("<I", kind) + struct.pack(form, value)).value("x") == value
    several = struct.pack("<IIQ", 9, kind, 2) + struct.pack(form, value) * 2
    assert read(several).value("x") == [value, value]


def test_flags_and_texts_are_read_alone_and_in_a_list():
    assert read(struct.pack("<I?", 7, True)).value("x") is True
    assert read(struct.pack("<IIQ2?", 9, 7, 2, True, False)).value("x") == [True, False]
    text = pack_string("ä")
    assert read(struct.pack("<I", 8) + text).value("x") == "ä"
    assert read(struct.pack("<IIQ", 9, 8, 2) + text * 2).value("x") == ["ä", "ä"]


def test_nothing_is_read_beyond_the_end():
    cursor = read(b"abc")
    assert cursor.take(2) == b"ab"
    with pytest.raises(FormatError, match="x: ends within its header, after 3 bytes"):
        cursor.take(2, "x")
