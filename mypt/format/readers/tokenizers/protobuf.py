"""Read messages of Protocol Buffers by the numbers of their fields.

Source: the wire format of https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_SIZES = {_I64: 8, _I32: 4}
_LONGEST_VARINT = 10  # bytes of a number of 64 bits

Value = int | bytes | memoryview


class WireError(ValueError):
    """Bytes that are no message."""


def iterate_fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the number and the value of each field of a message.

    Args:
        message: Its bytes, of which nothing is trusted.

    Yields:
        An unsigned number of up to 64 bits for a varint, the 4 or 8 bytes of a fixed number, or
        the bytes of a string or of a message within.

    Raises:
        WireError: It is no message.
    """
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _read_varint(message, place)
            yield number, value
            continue
        if kind == _LEN:
            size, place = _read_varint(message, place)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            what = f"has a field of the unknown kind {kind}"
            raise WireError(what)
        if not number or size > len(message) - place:
            what = "ends in the middle of a field"
            raise WireError(what)
        yield number, message[place : place + size]
        place += size


def to_signed(value: Value) -> int:
    """Return the int32 of a varint.

    Raises:
        WireError: The field is no varint.
    """
    if not isinstance(value, int):
        what = "has bytes in the place of a number"
        raise WireError(what)
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def to_float(value: Value) -> float:
    """Return the float of a field of 4 bytes.

    Raises:
        WireError: The field is none.
    """
    if isinstance(value, int) or len(value) != _SIZES[_I32]:
        what = "has something else in the place of a float"
        raise WireError(what)
    (number,) = struct.unpack("<f", value)
    return float(number)


def to_bytes(value: Value) -> memoryview:
    """Return the bytes of a string or of a message within.

    Raises:
        WireError: The field is a number.
    """
    if isinstance(value, int):
        what = "has a number in the place of bytes"
        raise WireError(what)
    return memoryview(value)


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return an unsigned number of up to 64 bits and the place after it."""
    value = 0
    for shift, byte in enumerate(message[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + shift + 1
    what = "has a number that does not end"
    raise WireError(what)
