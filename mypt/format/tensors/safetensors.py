"""Files of weights in safetensors format: read the header, map the tensors, write a file.

A file consists of the length of its header (8 bytes, little-endian), the header (JSON), and the
bytes of the tensors without gaps. Source: the format's description in the safetensors repository.
"""

from __future__ import annotations

import json
import math
import struct
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from mypt.format.errors import FormatError, Problem
from mypt.format.schema import strict_json
from mypt.format.storage.files import MappedFiles, open_regular
from mypt.format.tensors.info import ITEM_BYTES, TensorInfo, contiguous_stride

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_HEADER_BYTES = 32 * 1024 * 1024
_MAX_DIMENSIONS = 64
_METADATA = "__metadata__"
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def is_safetensors(path: Path, file: str) -> bool:
    """Return whether a file begins like a safetensors file.

    Raises:
        FormatError: It is not a regular file.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        return stream.read(9)[8:] == b"{"


def read_infos(path: Path, file: str) -> dict[str, TensorInfo]:
    """Read names, shapes and dtypes; each tensor is a storage of its own.

    Args:
        path: The file.
        file: Its name, for messages.

    Raises:
        FormatError: The header is too large or not strict JSON, names an unknown dtype, or places
            tensors so that they overlap, leave gaps or lie outside of the file.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        places, _ = _read_header(stream, file)
    return {name: info for name, (info, _) in places.items()}


def find_start(path: Path, file: str, name: str) -> int:
    """Return the first byte in the file of a tensor.

    Raises:
        FormatError: See `read_infos`.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        places, _ = _read_header(stream, file)
    return places[name][1]


def load(path: Path, file: str, mapped: MappedFiles | None = None) -> dict[str, Any]:
    """Memory-map the tensors on the CPU; changing them does not change the file.

    Args:
        path: The file.
        file: Its name, for messages.
        mapped: Where the file is mapped; by default somewhere of its own.

    Raises:
        FormatError: See `read_infos`; or the file was cut while being read.
        OSError: It cannot be read.
    """
    mapped = MappedFiles() if mapped is None else mapped
    with open_regular(path, file) as stream:
        places, size = _read_header(stream, file)
        try:
            content = mapped.map(stream, size)
        except (ValueError, OSError) as error:
            _raise_safetensors_error(
                file, "", f"cannot be mapped to memory: {error}", "open it again"
            )
    import torch

    data = torch.frombuffer(content, dtype=torch.uint8)
    tensors = {}
    for name, (info, begin) in places.items():
        values = data[begin : begin + info.storage_bytes]
        if begin % ITEM_BYTES[info.dtype]:
            values = values.clone()  # a view as a wider dtype must begin at a multiple of its size
        tensors[name] = values.view(getattr(torch, info.dtype)).view(info.shape)
    return tensors


def write(stream: BinaryIO, tensors: Mapping[str, Any]) -> None:
    """Write tensors one after the other, in the given order.

    Args:
        stream: Where the bytes go.
        tensors: Tensors by name, on any device.
    """
    described = {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    write_in_turn(stream, described, iter(tensors.values()))


def write_in_turn(
    stream: BinaryIO, described: Mapping[str, tuple[str, tuple[int, ...]]], tensors: Iterator[Any]
) -> None:
    """Write tensors that are made one by one, as they are written.

    Args:
        stream: Where the bytes go.
        described: The dtype and the shape of each tensor by name, in order.
        tensors: The tensors, on any device; no more are taken than are described.
    """
    import torch

    header: dict[str, Any] = {_METADATA: {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in described.items():
        begin, end = end, end + math.prod(shape) * ITEM_BYTES[dtype]
        held = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
        header[name] = held
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    for tensor in islice(tensors, len(described)):
        values = tensor.detach().cpu().contiguous().reshape(-1)
        stream.write(values.view(torch.uint8).numpy().data)


def _read_header(stream: BinaryIO, file: str) -> tuple[dict[str, tuple[TensorInfo, int]], int]:
    """Return each tensor's description and first byte in the file, and the size of the file."""
    size = stream.seek(0, 2)
    stream.seek(0)
    start = stream.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        _raise_safetensors_error(file, "", f"has an impossible header length, {length} bytes")
    header = strict_json.parse(stream.read(length), file)
    header.pop(_METADATA, None)
    base = 8 + length
    places = {name: _parse_entry(name, entry, base, file) for name, entry in header.items()}
    end = base
    in_order = sorted((begin, info.storage_bytes, name) for name, (info, begin) in places.items())
    for begin, size_bytes, name in in_order:
        if begin != end:
            _raise_safetensors_error(file, name, "overlaps with another tensor, or follows a gap")
        end += size_bytes
    if end != size:
        _raise_safetensors_error(file, "", f"has {size} bytes, but its header describes {end}")
    return places, size


def _parse_entry(name: str, entry: Any, base: int, file: str) -> tuple[TensorInfo, int]:
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            _raise_safetensors_error(file, name, "is not described as a tensor")
    if kind not in _DTYPES:
        _raise_safetensors_error(
            file, name, f"has the dtype {kind}, which mypt does not read", "convert it"
        )
    if len(shape) > _MAX_DIMENSIONS or any(type(n) is not int or not 0 <= n < 2**63 for n in shape):
        _raise_safetensors_error(file, name, "has an impossible shape")
    dtype = _DTYPES[kind]
    size = math.prod(shape) * ITEM_BYTES[dtype]
    if not 0 <= begin <= end or end - begin != size:
        _raise_safetensors_error(
            file, name, f"needs {size} bytes, but its data_offsets span {end - begin}"
        )
    stride = contiguous_stride(tuple(shape))
    return TensorInfo(dtype, tuple(shape), stride, name, 0, size), base + begin


def _raise_safetensors_error(
    file: str, where: str, what: str, fix: str = "restore it from a copy"
) -> NoReturn:
    raise FormatError(Problem(file, where, what, fix, kind="safetensors"))
