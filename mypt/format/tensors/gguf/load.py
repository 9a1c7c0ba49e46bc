"""The tensors of a GGUF file: mapped where they are stored as they are, else computed."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.storage.files import MappedFiles
from mypt.format.tensors.gguf.block_types import BY_NAME
from mypt.format.tensors.gguf.cursor import raise_gguf_error
from mypt.format.tensors.gguf.header import open_again, read_header
from mypt.format.tensors.info import ITEM_BYTES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mypt.format.tensors.gguf.header import GGUFHeader, GGUFTensor

# What is computed at once: small enough for the caches of a processor.
_CHUNK_VALUES = 1 << 18


@frozen
class GGUFContents:
    """What a GGUF file holds.

    Attributes:
        header: Its metadata, and descriptions of its tensors.
        tensors: Its tensors by name, or descriptions of them.
        copies: The same, each in memory of its own: what joins or reorders tensors reads them
            from here, so that no more of the file than necessary is in memory.
    """

    header: GGUFHeader
    tensors: Mapping[str, Any]
    copies: Mapping[str, Any]


def describe(path: Path, file: str) -> GGUFContents:
    """Return the content of a file with a `TensorInfo` in place of each tensor.

    Raises:
        FormatError: See `header.read_header`.
        OSError: It cannot be read.
    """
    header = read_header(path, file)
    infos = {name: tensor.info for name, tensor in header.tensors.items()}
    return GGUFContents(header, infos, infos)


def load(path: Path, file: str, mapped: MappedFiles | None = None) -> GGUFContents:
    """Return the content of a file with its tensors on the CPU.

    Those of quantized types are computed as they are asked for, each time anew.

    Args:
        path: The file.
        file: Its name, for messages.
        mapped: Where the file is mapped; by default somewhere of its own.

    Raises:
        FormatError: See `header.read_header`; or the file was cut while being read.
        OSError: It cannot be read.
    """
    header = read_header(path, file)
    copies = _Tensors(path, file, header)
    if not any(BY_NAME[tensor.type_name].is_plain for tensor in header.tensors.values()):
        return GGUFContents(header, copies, copies)
    import torch

    mapped = MappedFiles() if mapped is None else mapped
    with open_again(path, file, header) as stream:
        try:
            content = mapped.map(stream, header.size)
        except (ValueError, OSError) as error:
            raise_gguf_error(file, "", f"cannot be mapped to memory: {error}", "open it again")
    data = torch.frombuffer(content, dtype=torch.uint8)
    return GGUFContents(header, _Tensors(path, file, header, data), copies)


def read_small(path: Path, file: str, header: GGUFHeader, name: str) -> list[float]:
    """Return the values of a small tensor of the type F32, without torch.

    Raises:
        FormatError: The file was changed meanwhile.
        OSError: It cannot be read.
    """
    tensor = header.tensors[name]
    with open_again(path, file, header) as stream:
        stream.seek(tensor.start)
        data = stream.read(tensor.size_bytes)
    if len(data) < tensor.size_bytes:
        raise_gguf_error(file, name, "was truncated while being read", "open it again")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


class _Tensors(Mapping[str, "Tensor"]):
    """The tensors of a file, read when they are asked for."""

    def __init__(
        self, path: Path, file: str, header: GGUFHeader, data: Tensor | None = None
    ) -> None:
        """Read nothing yet.

        Args:
            path: The file.
            file: Its name, for messages.
            header: What it says of itself.
            data: Its bytes, where tensors that are stored as they are may be views of them.
        """
        self._path = path
        self._file = file
        self._header = header
        self._data = data

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._header.tensors[name]
        if self._data is not None and BY_NAME[tensor.type_name].is_plain:
            return _view_values(self._data, tensor)
        with open_again(self._path, self._file, self._header) as stream:
            return _read_values(stream, tensor, self._file)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.tensors)

    def __len__(self) -> int:
        return len(self._header.tensors)


def _view_values(data: Tensor, tensor: GGUFTensor) -> Tensor:
    import torch

    values = data[tensor.start : tensor.start + tensor.size_bytes]
    if tensor.start % ITEM_BYTES[tensor.info.dtype]:
        values = values.clone()  # a view as a wider dtype must begin at a multiple of its size
    return values.view(getattr(torch, tensor.info.dtype)).view(tensor.info.shape)


def _read_values(stream: BinaryIO, tensor: GGUFTensor, file: str) -> Tensor:
    """Return the values of a tensor, a chunk at a time."""
    import torch

    block = BY_NAME[tensor.type_name]
    values = torch.empty(tensor.info.shape, dtype=getattr(torch, block.dtype))
    stream.seek(tensor.start)
    if block.is_plain:
        _fill(stream, values.view(-1).view(torch.uint8).numpy(), file, tensor)
    else:
        _dequantize(stream, values.view(-1, block.values).numpy(), file, tensor)
    return values


def _dequantize(stream: BinaryIO, rows: NDArray[np.float32], file: str, tensor: GGUFTensor) -> None:
    """Fill rows, each the values of a block."""
    import numpy as np

    from mypt.format.tensors.gguf.dequantize import DEQUANTIZE

    block = BY_NAME[tensor.type_name]
    step = _CHUNK_VALUES // block.values
    buffer = np.empty((min(step, len(rows)), block.size_bytes), dtype=np.uint8)
    with np.errstate(all="ignore"):  # scales that are infinite or NaN are for others to find
        for begin in range(0, len(rows), step):
            out = rows[begin : begin + step]
            blocks = buffer[: len(out)]
            _fill(stream, blocks.reshape(-1), file, tensor)
            DEQUANTIZE[block.name](blocks, out)


def _fill(stream: BinaryIO, data: NDArray[np.uint8], file: str, tensor: GGUFTensor) -> None:
    """Read bytes from the file into memory.

    Raises:
        FormatError: The file has become shorter.
    """
    view, done = data.data, 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            what = "was truncated while being read"
            raise_gguf_error(file, tensor.info.storage_key, what, "open it again")
        done += count
