"""Read the values of a GGUF header one after the other, never more than the file can hold."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

# Far more than the largest vocabularies with their merges need.
MAX_HEADER_BYTES = 128 * 1024 * 1024
MAX_VALUES = 1 << 22  # of all arrays together
MAX_NAME_BYTES = 1024
_LENGTH_BYTES = 8
_STRING, _ARRAY, _BOOL = 8, 9, 7
# The types of numbers, as `struct` has them.
_NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_RESTORE = "restore it from a copy"


def raise_gguf_error(file: str, where: str, what: str, fix: str = _RESTORE) -> NoReturn:
    """Raise the error for a file that is damaged, or that mypt does not read."""
    raise FormatError(Problem(file, where, what, fix, kind="gguf"))


class Cursor:
    """A position in the header of a file."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        """Start at the beginning of the file.

        Args:
            stream: The file.
            file: Its name, for messages.
        """
        self.size = stream.seek(0, 2)
        self.place = stream.seek(0)
        self._values = 0
        self._stream = stream
        self._file = file
        self._end = min(self.size, MAX_HEADER_BYTES)

    def take(self, count: int, where: str = "") -> bytes:
        """Return the next bytes.

        Raises:
            FormatError: The file ends before, or the header is too large.
        """
        if count > self._end - self.place:
            self.check_room(count, where)
        data = self._stream.read(count)
        self.place += count
        if len(data) != count:
            raise_gguf_error(self._file, where, "was truncated while being read", "open it again")
        return data

    def check_room(self, count: int, where: str = "") -> None:
        """Raise if fewer bytes than this are left for the header.

        Raises:
            FormatError: The file ends before, or the header is too large.
        """
        if count <= self._end - self.place:
            return
        if self._end < self.size:
            what = f"has a header of more than {MAX_HEADER_BYTES} bytes"
        else:
            what = f"ends within its header, after {self.size} bytes"
        raise_gguf_error(self._file, where, what)

    def number(self, form: str, where: str = "") -> Any:
        """Return the next number, in a form of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form), where))[0]

    def string(self, where: str, most: int = MAX_HEADER_BYTES) -> str:
        """Return the next string.

        Raises:
            FormatError: It is longer than `most`, is not UTF-8, or the file ends before.
        """
        length = self.number("<Q", where)
        if length > most:
            raise_gguf_error(self._file, where, f"has an impossible length, {length} bytes")
        data = self.take(length, where)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise_gguf_error(self._file, where, "is not UTF-8")

    def value(self, where: str) -> Any:
        """Return the next value of the metadata, whose type comes first.

        Raises:
            FormatError: Its type is unknown, it is an array of arrays, or the file ends before.
        """
        kind = self.number("<I", where)
        if kind != _ARRAY:
            return self._reader_of(kind, where)()
        kind, length = self.number("<I", where), self.number("<Q", where)
        if kind == _ARRAY:
            raise_gguf_error(self._file, where, "is an array of arrays", "convert the model again")
        self._values += length
        if self._values > MAX_VALUES:
            what = f"has {length} items: together, arrays may have {MAX_VALUES}"
            raise_gguf_error(self._file, where, what)
        if kind in _NUMBERS:
            form = f"<{length}{_NUMBERS[kind][1]}"
            return list(struct.unpack(form, self.take(struct.calcsize(form), where)))
        self.check_room(length * (_LENGTH_BYTES if kind == _STRING else 1), where)
        read = self._reader_of(kind, where)
        return [read() for _ in range(length)]

    def _reader_of(self, kind: int, where: str) -> Callable[[], Any]:
        if kind in _NUMBERS:
            return lambda: self.number(_NUMBERS[kind], where)
        if kind == _STRING:
            return lambda: self.string(where)
        if kind == _BOOL:
            return lambda: self._bool(where)
        raise_gguf_error(self._file, where, f"has the type {kind}, which GGUF does not define")

    def _bool(self, where: str) -> bool:
        value = self.number("<B", where)
        if value > 1:
            raise_gguf_error(self._file, where, f"is {value}, not true or false")
        return bool(value)
