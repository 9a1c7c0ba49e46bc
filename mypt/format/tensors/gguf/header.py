"""The header of a GGUF file: its metadata, and where its tensors are.

Source: the description of the format in the ggml repository (`docs/gguf.md`), versions 2 and 3.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.storage.files import open_regular
from mypt.format.tensors.gguf.block_types import BLOCK_TYPES, TYPE_NAMES
from mypt.format.tensors.gguf.cursor import MAX_NAME_BYTES, Cursor, raise_gguf_error
from mypt.format.tensors.info import ITEM_BYTES, TensorInfo, contiguous_stride

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

MAGIC = b"GGUF"
ALIGNMENT = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
_MAX_DIMENSIONS = 4
_MAX_DIMENSION = 1 << 40
_MAX_ENTRIES = 1 << 16  # of the metadata, and of the tensors: far more than any model has
# The fewest bytes that an entry of the metadata has, and one of the tensors.
_ENTRY_BYTES, _TENSOR_BYTES = 13, 24
_VERSIONS = (2, 3)


@frozen
class GGUFTensor:
    """A tensor of a file.

    Attributes:
        type_name: How its values are stored, such as `Q4_K`.
        info: Its values, as `load` returns them: those of a block type as float32.
        start: Its first byte in the file.
        size_bytes: How many bytes it has there.
    """

    type_name: str
    info: TensorInfo
    start: int
    size_bytes: int


@frozen
class GGUFHeader:
    """What a file says of itself.

    Attributes:
        version: Version of the format.
        metadata: Values by key.
        tensors: Tensors by name, in the order of the file.
        size: Size of the file in bytes.
        identity: What changes when another file is at its path, or it is written to.
    """

    version: int
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GGUFTensor]
    size: int
    identity: tuple[int, ...]


def is_gguf(path: Path, file: str) -> bool:
    """Return whether a file begins like a GGUF file.

    Raises:
        FormatError: It is not a regular file.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read_header(path: Path, file: str) -> GGUFHeader:
    """Read the metadata and the places of the tensors, without reading these.

    Args:
        path: The file.
        file: Its name, for messages.

    Raises:
        FormatError: It is damaged, of another version or byte order, or has tensors of a type that
            mypt does not read.
        OSError: It cannot be read.
    """
    return _read_cached(path, file, _identify(path.stat()))


@lru_cache(maxsize=1)
def _read_cached(path: Path, file: str, _: tuple[int, ...]) -> GGUFHeader:
    """Read a header; cached, as a model is described before it is loaded.

    Args:
        path: The file.
        file: Its name, for messages.
        _: Cache key that changes when the file does.
    """
    with open_regular(path, file) as stream:
        return parse_header(stream, file)


def parse_header(stream: BinaryIO, file: str) -> GGUFHeader:
    """Return the header of an open file; see `read_header`."""
    cursor = Cursor(stream, file)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise_gguf_error(file, "", "does not begin like a GGUF file")
    version = _read_version(cursor, file)
    tensor_count, entry_count = cursor.number("<Q"), cursor.number("<Q")
    cursor.check_room(tensor_count * _TENSOR_BYTES + entry_count * _ENTRY_BYTES)
    if max(tensor_count, entry_count) > _MAX_ENTRIES:
        what = f"has {entry_count} keys and {tensor_count} tensors; mypt reads {_MAX_ENTRIES}"
        raise_gguf_error(file, "", what)
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        key = cursor.string("a key of the metadata", MAX_NAME_BYTES)
        if key in metadata:
            raise_gguf_error(file, key, "is there twice")
        metadata[key] = cursor.value(key)
    alignment = _read_alignment(metadata, file)
    entries: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(tensor_count):
        name = cursor.string("the name of a tensor", MAX_NAME_BYTES)
        if name in entries:
            raise_gguf_error(file, name, "is there twice")
        entries[name] = _read_tensor_entry(cursor, name, file)
    begin = _pad(cursor.place, alignment)
    tensors = _place_tensors(entries, begin, alignment, cursor.size, file)
    identity = _identify(os.fstat(stream.fileno()))
    return GGUFHeader(version, metadata, tensors, cursor.size, identity)


def open_again(path: Path, file: str, header: GGUFHeader) -> BinaryIO:
    """Open a file whose header was read, to read its tensors.

    Raises:
        FormatError: Another file is there by now, or it was written to.
        OSError: It cannot be read.
    """
    stream = open_regular(path, file)
    if _identify(os.fstat(stream.fileno())) != header.identity:
        stream.close()
        raise_gguf_error(file, "", "was changed while being read", "open it again")
    return stream


def _identify(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read_version(cursor: Cursor, file: str) -> int:
    version: int = cursor.number("<I")
    if version and version & 0xFFFF == 0:
        fix = "convert the model on a machine with little-endian numbers, as most are"
        raise_gguf_error(file, "", "is big-endian, which mypt does not read", fix)
    if version not in _VERSIONS:
        what = f"is version {version} of GGUF; mypt reads {' and '.join(map(str, _VERSIONS))}"
        raise_gguf_error(file, "", what, "convert the model again with a current llama.cpp")
    return version


def _read_alignment(metadata: Mapping[str, Any], file: str) -> int:
    alignment = metadata.get(ALIGNMENT, _DEFAULT_ALIGNMENT)
    is_power = type(alignment) is int and 0 < alignment <= _MAX_ALIGNMENT
    if not is_power or alignment & (alignment - 1):
        raise_gguf_error(file, ALIGNMENT, f"is {alignment!r:.60}, not a power of two")
    return int(alignment)


def _read_tensor_entry(cursor: Cursor, name: str, file: str) -> tuple[tuple[int, ...], int, int]:
    """Return the shape, rows before columns, the number of the type and the offset."""
    dimensions = cursor.number("<I", name)
    if dimensions > _MAX_DIMENSIONS:
        raise_gguf_error(file, name, f"has {dimensions} dimensions, more than GGUF allows")
    sizes = [cursor.number("<Q", name) for _ in range(dimensions)]
    if any(not 0 < size < _MAX_DIMENSION for size in sizes):
        raise_gguf_error(file, name, "has an impossible shape")
    kind, offset = cursor.number("<I", name), cursor.number("<Q", name)
    return tuple(reversed(sizes)), kind, offset


def _place_tensors(
    entries: Mapping[str, tuple[tuple[int, ...], int, int]],
    begin: int,
    alignment: int,
    size: int,
    file: str,
) -> dict[str, GGUFTensor]:
    """Return the tensors, one after the other as GGUF has them.

    Raises:
        FormatError: They overlap, leave gaps, or lie outside of the file.
    """
    tensors: dict[str, GGUFTensor] = {}
    end = after = 0
    for name, (shape, kind, offset) in entries.items():
        if offset != after:
            what = f"begins at byte {offset} of the data, not at {after} behind the one before"
            raise_gguf_error(file, name, what)
        tensors[name] = _describe_tensor(name, shape, kind, begin + offset, file)
        end = offset + tensors[name].size_bytes
        after = _pad(end, alignment)
    if not begin + end <= size <= begin + after and (tensors or size < begin):
        what = f"has {size} bytes, but its header describes {begin + after}"
        raise_gguf_error(file, "", what)
    return tensors


def _describe_tensor(
    name: str, shape: tuple[int, ...], kind: int, start: int, file: str
) -> GGUFTensor:
    block = BLOCK_TYPES.get(kind)
    if block is None:
        known = ", ".join(one.name for one in BLOCK_TYPES.values())
        what = f"is of the type {TYPE_NAMES.get(kind, kind)}; mypt reads {known}"
        raise_gguf_error(file, name, what, "quantize the model in another way")
    columns = shape[-1] if shape else 1
    if columns % block.values:
        what = f"has rows of {columns} values, which no blocks of {block.values} make up"
        raise_gguf_error(file, name, what)
    numel = math.prod(shape)
    info = TensorInfo(
        block.dtype, shape, contiguous_stride(shape), name, 0, numel * ITEM_BYTES[block.dtype]
    )
    return GGUFTensor(block.name, info, start, numel // block.values * block.size_bytes)


def _pad(place: int, alignment: int) -> int:
    return (place + alignment - 1) // alignment * alignment
