import struct

import pytest

from mypt.format.readers.tokenizers.protobuf import (
    WireError,
    iterate_fields,
    to_bytes,
    to_float,
    to_signed,
)


def read(data):
    return [(n, v if isinstance(v, int) else bytes(v)) for n, v in iterate_fields(memoryview(data))]


def test_fields_of_every_kind_are_read():
    message = (
        b"\x08\x96\x01" + b"\x12\x02ab" + b"\x1d" + struct.pack("<f", 0.5) + b"\x21" + b"\1" * 8
    )
    assert read(message) == [(1, 150), (2, b"ab"), (3, struct.pack("<f", 0.5)), (4, b"\1" * 8)]


def test_a_negative_number_is_one_of_ten_bytes():
    ((_, value),) = read(b"\x08" + b"\xff" * 9 + b"\x01")
    assert to_signed(value) == -1


def test_values_are_taken_as_what_they_are():
    assert to_float(struct.pack("<f", -1.5)) == -1.5
    assert bytes(to_bytes(b"ab")) == b"ab"


@pytest.mark.parametrize(("take", "value"), [(to_float, 1), (to_float, b"ab"), (to_bytes, 1)])
def test_another_kind_of_value_is_refused(take, value):
    with pytest.raises(WireError, match="in the place of"):
        take(value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff" * 12, "a number that does not end"),
        (b"\x08", "a number that does not end"),
        (b"\x0a\xff\xff\xff\xff\x7f", "in the middle of a field"),
        (b"\x0d\x00", "in the middle of a field"),
        (b"\x02\x00", "in the middle of a field"),
        (b"\x0b\x00", "unknown kind 3"),
    ],
)
def test_bytes_that_are_no_message_are_refused(data, reason):
    with pytest.raises(WireError, match=reason):
        read(data)
