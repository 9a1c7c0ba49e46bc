"""Write the zip archives that torch reads: uncompressed, aligned members, in one pass."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

ALIGNMENT = 64  # torch memory-maps storages in place, so they have to be aligned
_CHUNK_BYTES = 1 << 22
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_PLAIN, _ZIP64 = 20, 45  # the zip version that a reader needs
_DATE = 0x0021  # 1980-01-01: the time of writing is not part of the content


@frozen
class _WrittenMember:
    """A member as the directory will list it."""

    name: bytes
    crc32: int
    size_bytes: int
    offset: int


class ArchiveWriter:
    """Writes members one after the other to a stream, without seeking.

    Equal members in equal order give equal bytes.
    """

    def __init__(self, stream: SupportsWrite[bytes | memoryview], name: str) -> None:
        """Start an archive.

        Args:
            stream: Where the bytes go.
            name: The folder that all members are in.
        """
        self._stream = stream
        self._name = name
        self._offset = 0
        self._members: list[_WrittenMember] = []

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write one member.

        Args:
            name: Its name inside the archive's folder, in ASCII.
            content: Contiguous bytes.
        """
        crc32 = 0
        chunks = range(0, len(content), _CHUNK_BYTES)
        for start in chunks:
            crc32 = zlib.crc32(content[start : start + _CHUNK_BYTES], crc32)
        full_name = f"{self._name}/{name}".encode("ascii")
        member = _WrittenMember(full_name, crc32, len(content), self._offset)
        self._members.append(member)
        self._write_bytes(_encode_local_header(member))
        for start in chunks:
            self._write_bytes(content[start : start + _CHUNK_BYTES])

    def close(self) -> None:
        """Write the directory; the stream stays open."""
        start, count = self._offset, len(self._members)
        for member in self._members:
            self._write_bytes(_encode_directory_entry(member))
        size = self._offset - start
        if count >= _MAX_16 or start >= _MAX_32 or size >= _MAX_32:
            end = self._offset
            self._write_bytes(
                struct.pack(
                    *("<4sQ2H2I4Q", b"PK\x06\x06", 44, _ZIP64, _ZIP64, 0, 0),
                    *(count, count, size, start),
                )
            )
            self._write_bytes(struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1))
        count, size, start = min(count, _MAX_16), min(size, _MAX_32), min(start, _MAX_32)
        self._write_bytes(
            struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
        )

    def _write_bytes(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self._offset += len(data)


def _encode_local_header(member: _WrittenMember) -> bytes:
    """Return the header of a member, padded so that the content is aligned."""
    size, extra = member.size_bytes, b""
    if size >= _MAX_32:
        size, extra = _MAX_32, struct.pack("<2H2Q", 1, 16, member.size_bytes, member.size_bytes)
    padding = -(member.offset + 30 + len(member.name) + len(extra) + 4) % ALIGNMENT
    extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding  # the field that torch uses
    fields = (b"PK\x03\x04", _ZIP64 if size == _MAX_32 else _PLAIN, 0, 0, 0, _DATE)
    sizes = (member.crc32, size, size, len(member.name), len(extra))
    return struct.pack("<4s5H3I2H", *fields, *sizes) + member.name + extra


def _encode_directory_entry(member: _WrittenMember) -> bytes:
    size, offset, wide = member.size_bytes, member.offset, b""
    if size >= _MAX_32:
        size, wide = _MAX_32, struct.pack("<2Q", member.size_bytes, member.size_bytes)
    if offset >= _MAX_32:
        offset, wide = _MAX_32, wide + struct.pack("<Q", member.offset)
    extra = struct.pack("<2H", 1, len(wide)) + wide if wide else b""
    version = _ZIP64 if wide else _PLAIN
    fields = (b"PK\x01\x02", version, version, 0, 0, 0, _DATE)
    sizes = (member.crc32, size, size, len(member.name), len(extra), 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3I5H2I", *fields, *sizes) + member.name + extra
