"""Read the zip archives that torch writes, so strictly that no two readers can disagree."""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.mistaken import START_BYTES, explain_start

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS = 200_000
MAX_DIRECTORY_BYTES = 64 * 1024 * 1024

# Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_SIZES_FOLLOW, _UTF_8 = 0x0008, 0x0800  # the only flags that torch sets
_SAFE_PATH = re.compile(rb"[A-Za-z0-9_]+(?:/[A-Za-z0-9_]+)+")
# The number with which files of torch before 1.6 begin, after the heads of pickles of any protocol.
_LEGACY_MAGIC = re.compile(rb"\x80.(?:\x95.{8})?\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL)


@frozen
class Member:
    """One stored file of an archive.

    Attributes:
        name: Its name, without the archive's own prefix.
        offset: Offset of its first byte in the file.
        size_bytes: Its size.
        crc32: Its checksum, according to the directory.
    """

    name: str
    offset: int
    size_bytes: int
    crc32: int


class _Entry(NamedTuple):
    """One entry of the central directory."""

    name: bytes
    flags: int
    method: int
    crc32: int
    stored_bytes: int
    size_bytes: int
    header_offset: int


def read_members(stream: BinaryIO, file: str) -> dict[str, Member]:
    """List the members of a torch archive without reading their content.

    Args:
        stream: The file, seekable.
        file: Its name, for messages.

    Returns:
        Members by name, without the archive's own prefix.

    Raises:
        FormatError: It is not an archive, or is truncated; a member is compressed, encrypted,
            overlaps another, lies outside of the file, has a name that is taken (ignoring case)
            or that leaves the archive's folder; or the two headers of a member disagree.
    """
    start, directory, count = _read_directory(stream, file)
    entries = list(_parse_entries(directory, count, file))
    prefix = entries[0].name.split(b"/", 1)[0] + b"/" if entries else b""
    members: dict[str, Member] = {}
    taken: set[str] = set()
    spans = []
    for entry in entries:
        name = _strip_prefix(entry.name, prefix, file)
        lowered = name.lower()
        if lowered in taken:  # torch looks names up case-insensitively
            _raise_archive_error(file, f"holds the member {name!r} twice")
        taken.add(lowered)
        offset = _find_content(stream, entry, file)
        spans.append((entry.header_offset, offset + entry.size_bytes))
        members[name] = Member(name, offset, entry.size_bytes, entry.crc32)
    spans.sort()
    if any(after[0] < before[1] for before, after in pairwise([*spans, (start, start)])):
        _raise_archive_error(file, "holds members that overlap or lie outside of the file")
    return members


def is_legacy(stream: BinaryIO) -> bool:
    """Return whether a file has the form that torch wrote before 1.6, which is no archive."""
    stream.seek(0)
    return _LEGACY_MAGIC.match(stream.read(START_BYTES)) is not None


def read_member(stream: BinaryIO, member: Member) -> bytes:
    """Read a whole member; the caller has checked its size."""
    stream.seek(member.offset)
    return stream.read(member.size_bytes)


def _read_directory(stream: BinaryIO, file: str) -> tuple[int, bytes, int]:
    """Return the central directory: its offset, its bytes and its number of entries."""
    size = stream.seek(0, 2)
    end = _read_struct(stream, _END, size - _END.size, b"PK\x05\x06")
    if end is None:
        _raise_not_an_archive(stream, file)
    _, disk, first_disk, here, count, length, start, comment = end
    limit = size - _END.size
    totals = (count, length, start)
    locator = _read_struct(stream, _LOCATOR_64, limit - _LOCATOR_64.size, b"PK\x06\x07")
    if locator is not None:
        limit -= _LOCATOR_64.size + _END_64.size
        end_64 = _read_struct(stream, _END_64, limit, b"PK\x06\x06")
        if end_64 is None or locator[1:] != (0, limit, 1) or end_64[1] != _END_64.size - 12:
            _raise_archive_error(file, "has a damaged directory")
        disk, first_disk = max(disk, end_64[4]), max(first_disk, end_64[5])
        here, *wide = end_64[6:]
        if any(
            narrow not in (full, top)
            for narrow, full, top in zip(totals, wide, (_MAX_16, _MAX_32, _MAX_32), strict=True)
        ):
            _raise_archive_error(file, "has a damaged directory")
        count, length, start = wide
    if disk or first_disk or comment or here != count or start + length != limit:
        _raise_archive_error(file, "has a damaged directory")
    if count > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        _raise_archive_error(
            file, f"lists {count} members in {length} bytes, which no checkpoint needs"
        )
    stream.seek(start)
    return start, stream.read(length), count


def _parse_entries(directory: bytes, count: int, file: str) -> Iterator[_Entry]:
    position = 0
    for _ in range(count):
        if position + _CENTRAL.size > len(directory):
            _raise_archive_error(file, "has a damaged directory")
        fields = _CENTRAL.unpack_from(directory, position)
        flags, method, crc32, stored, size = fields[3], fields[4], *fields[7:10]
        name_length, extra_length, comment_length, disk, header_offset = *fields[10:14], fields[16]
        name_end = position + _CENTRAL.size + name_length
        if _MAX_32 in (size, stored, header_offset):
            extra = directory[name_end : name_end + extra_length]
            size, stored, header_offset = _apply_zip64(extra, (size, stored, header_offset), file)
        name = directory[position + _CENTRAL.size : name_end]
        if fields[0] != b"PK\x01\x02" or disk:
            _raise_archive_error(file, "has a damaged directory")
        yield _Entry(name, flags, method, crc32, stored, size, header_offset)
        position = name_end + extra_length + comment_length
    if position != len(directory):
        _raise_archive_error(file, "has a damaged directory")


def _find_content(stream: BinaryIO, entry: _Entry, file: str) -> int:
    """Compare a member's own header with the directory; return the offset of its content."""
    stream.seek(entry.header_offset)
    data = stream.read(_LOCAL.size + len(entry.name))  # as long a name as the directory has
    if len(data) < _LOCAL.size or not data.startswith(b"PK\x03\x04"):
        _raise_archive_error(file, f"has no header for {entry.name!r} where its directory says")
    local: tuple[int, ...] = _LOCAL.unpack_from(data)
    _, _, flags, method, _, _, crc32, stored, size, name_length, extra_length = local
    is_same_name = name_length == len(entry.name) and data.endswith(entry.name)
    if entry.method or method:
        _raise_archive_error(
            file, f"holds {entry.name!r} compressed", "save it again with torch.save"
        )
    if entry.flags & ~(_SIZES_FOLLOW | _UTF_8) or entry.stored_bytes != entry.size_bytes:
        _raise_archive_error(
            file, f"holds {entry.name!r} encrypted or in a form that torch never writes"
        )
    if _MAX_32 in (size, stored):
        stream.seek(entry.header_offset + _LOCAL.size + name_length)
        size, stored = _apply_zip64(stream.read(extra_length), (size, stored), file)
    stored_values = (crc32, stored, size)
    follow = flags & _SIZES_FOLLOW and stored_values == (0, 0, 0)
    known = (entry.crc32, entry.stored_bytes, entry.size_bytes)
    if not is_same_name or flags != entry.flags or (stored_values != known and not follow):
        _raise_archive_error(file, f"describes {entry.name!r} in two ways")
    return entry.header_offset + _LOCAL.size + name_length + extra_length


def _apply_zip64(extra: bytes, values: tuple[int, ...], file: str) -> tuple[int, ...]:
    """Replace the values marked as too large for 32 bits by those of the zip64 extra field."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            field = extra[position + 4 : position + 4 + length]
            wanted = values.count(_MAX_32)
            if len(field) < 8 * wanted:
                break
            wide = iter(struct.unpack_from(f"<{wanted}Q", field))
            return tuple(next(wide) if value == _MAX_32 else value for value in values)
        position += 4 + length
    return _raise_archive_error(file, "has a damaged directory")


def _strip_prefix(name: bytes, prefix: bytes, file: str) -> str:
    if name.startswith(prefix) and _SAFE_PATH.fullmatch(name):  # as almost all are
        return name[len(prefix) :].decode()
    inner = name.removeprefix(prefix).decode("utf-8", errors="replace")
    parts = (prefix[:-1].decode("utf-8", errors="replace"), *inner.split("/"))
    safe = all(part not in ("", ".", "..") and part.isprintable() for part in parts)
    if not safe or "\\" in inner or not name.startswith(prefix):
        _raise_archive_error(
            file, f"holds a member with the name {name!r}", "do not trust its source"
        )
    return inner


def _read_struct(
    stream: BinaryIO, layout: struct.Struct, offset: int, signature: bytes
) -> tuple[int, ...] | None:
    if offset < 0:
        return None
    stream.seek(offset)
    data = stream.read(layout.size)
    if len(data) < layout.size or not data.startswith(signature):
        return None
    return layout.unpack(data)


def _raise_not_an_archive(stream: BinaryIO, file: str) -> NoReturn:
    stream.seek(0)
    start = stream.read(START_BYTES)
    if problem := explain_start(start, file, "archive"):
        raise FormatError(problem)
    if _LEGACY_MAGIC.match(start):
        _raise_archive_error(
            file, "is in the format of torch before 1.6", "save it again with torch.save"
        )
    if start.startswith(b"PK\x03\x04"):
        _raise_archive_error(file, "is truncated, or has something after its end")
    _raise_archive_error(
        file, "is not a file written by torch.save", "name a checkpoint, or restore it"
    )


def _raise_archive_error(file: str, what: str, fix: str = "restore it from a copy") -> NoReturn:
    raise FormatError(Problem(file, "", what, fix, kind="archive"))
