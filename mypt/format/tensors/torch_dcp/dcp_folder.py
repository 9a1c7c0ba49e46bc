"""Read the tensors of a folder of torch.distributed.checkpoint, put together from their parts.

Each part is what torch.save wrote of one tensor, somewhere in a file: an archive inside a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import is_regular_file, open_regular
from mypt.format.tensors.info import ITEM_BYTES, DeferredTensor, TensorInfo, contiguous_stride
from mypt.format.tensors.pt_file import (
    MAX_CHECKED_BYTES,
    describe_stream,
    find_damage,
    find_start,
)
from mypt.format.tensors.torch_dcp.dcp_metadata import METADATA, read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.format.tensors.torch_dcp.dcp_metadata import Chunk, ChunkedTensor


def holds_metadata(path: Path) -> bool:
    """Return whether this is a folder with the file of metadata, sound or not."""
    return is_regular_file(path / METADATA)


def is_dcp_folder(path: Path) -> bool:
    """Return whether a folder is of torch.distributed.checkpoint, by its metadata."""
    try:
        read_metadata(path, str(path))
    except (FormatError, OSError):
        return False
    return True


def describe_folder(folder: Path, file: str) -> dict[str, Any]:
    """Describe the tensors of a folder, without torch and without the weights.

    Args:
        folder: The folder.
        file: Its name, for messages.

    Returns:
        As `tensors`, by name, descriptions of the tensors, each a storage of its own; as `others`,
        the names of what else is saved there.

    Raises:
        FormatError: See `read_metadata`; or a file is missing or not as the metadata say.
        OSError: It cannot be read.
    """
    held = read_metadata(folder, file)
    tensors = _pick_tensors(held)
    for name, tensor in tensors.items():
        for chunk in tensor.chunks:
            _find_values(folder, name, tensor, chunk, file)
    described = {name: _describe(name, tensor) for name, tensor in tensors.items()}
    return {"tensors": described, "others": [name for name in held if name not in tensors]}


def load_folder(folder: Path, file: str) -> dict[str, Any]:
    """Return what `describe_folder` does, with tensors, each read when it is asked for.

    Raises:
        FormatError: See `describe_folder`.
        OSError: It cannot be read.
    """
    described = describe_folder(folder, file)
    check_folder(folder, file, MAX_CHECKED_BYTES)
    return {**described, "tensors": StoredTensors(folder, file)}


def check_folder(folder: Path, file: str, most: float = math.inf) -> None:
    """Compare the tensors of a folder with their own checksums.

    Args:
        folder: The folder.
        file: Its name, for messages.
        most: Size in bytes up to which a part of a tensor is compared.

    Raises:
        FormatError: One does not have its checksum; or see `read_metadata`.
        OSError: It cannot be read.
    """
    for name, tensor in _pick_tensors(read_metadata(folder, file)).items():
        for chunk in tensor.chunks:
            place = f"{file}/{chunk.file}"
            if chunk.length <= most:
                with open_regular(folder / chunk.file, place) as stream:
                    part = cast("BinaryIO", _Part(stream, chunk.start, chunk.length))
                    if next(find_damage(part, place), None) is not None:
                        _raise_part_error(place, name, "does not have its checksum")


def read_bytes(folder: Path, tensor: TensorInfo) -> bytearray:
    """Return the values of a tensor, with the last dimension fastest.

    Args:
        folder: The folder.
        tensor: The tensor, as `describe_folder` describes it.

    Raises:
        FormatError: See `describe_folder`.
        OSError: It cannot be read.
    """
    held = _pick_tensors(read_metadata(folder, str(folder)))[tensor.storage_key]
    return _read_values(folder, tensor.storage_key, held, str(folder))


class StoredTensors(Mapping[str, Any]):
    """The tensors of a folder, each read when it is asked for."""

    def __init__(self, folder: Path, file: str) -> None:
        """Read which tensors there are.

        Args:
            folder: The folder.
            file: Its name, for messages.

        Raises:
            FormatError: See `read_metadata`.
            OSError: It cannot be read.
        """
        self._folder = folder
        self._file = file
        self._tensors = _pick_tensors(read_metadata(folder, file))

    def __getitem__(self, name: str) -> Any:
        """Read a tensor."""
        import torch

        tensor = self._tensors[name]
        dtype = getattr(torch, tensor.dtype)
        values = _read_values(self._folder, name, tensor, self._file)
        if not values:
            return torch.empty(tensor.shape, dtype=dtype)
        return torch.frombuffer(values, dtype=dtype).reshape(tensor.shape)

    def defer_all(self) -> dict[str, DeferredTensor]:
        """Return the tensors by name, each to be read whenever its values are wanted."""
        return {
            name: DeferredTensor(tensor.dtype, tensor.shape, name, partial(self.__getitem__, name))
            for name, tensor in self._tensors.items()
        }

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tensors."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """Return how many tensors there are."""
        return len(self._tensors)


class _Part:
    """A part of a file, as a file of its own."""

    def __init__(self, stream: BinaryIO, start: int, length: int) -> None:
        self._stream = stream
        self._start = start
        self._length = length
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (self._length if whence == 2 else 0)
        return self._position

    def read(self, size: int) -> bytes:
        self._stream.seek(self._start + self._position)
        data = self._stream.read(max(0, min(size, self._length - self._position)))
        self._position += len(data)
        return data


def _pick_tensors(held: Mapping[str, ChunkedTensor | None]) -> dict[str, ChunkedTensor]:
    return {name: tensor for name, tensor in held.items() if tensor is not None}


def _describe(name: str, tensor: ChunkedTensor) -> TensorInfo:
    size_bytes = math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]
    stride = contiguous_stride(tensor.shape)
    return TensorInfo(tensor.dtype, tensor.shape, stride, name, 0, size_bytes)


def _find_values(folder: Path, name: str, tensor: ChunkedTensor, chunk: Chunk, file: str) -> int:
    """Return the first byte in its file of a part's values, which are contiguous.

    Raises:
        FormatError: The file is missing or damaged, or holds something else there.
    """
    place = f"{file}/{chunk.file}"
    try:
        with open_regular(folder / chunk.file, place) as stream:
            if stream.seek(0, 2) < chunk.start + chunk.length:
                _raise_part_error(place, name, "is truncated: it ends before this tensor")
            part = cast("BinaryIO", _Part(stream, chunk.start, chunk.length))
            header = describe_stream(part, place, is_foreign=True)
    except FileNotFoundError:
        _raise_part_error(place, name, "is missing")
    info = header.contents
    if not isinstance(info, TensorInfo) or (info.dtype, info.shape) != (tensor.dtype, chunk.sizes):
        _raise_part_error(place, name, "holds something else than the metadata say")
    if not info.is_contiguous:
        fix = "save it again with each tensor made contiguous"
        _raise_part_error(place, name, "is not contiguous", fix)
    return chunk.start + find_start(header, info)


def _read_values(folder: Path, name: str, tensor: ChunkedTensor, file: str) -> bytearray:
    """Return the values of a tensor, with the last dimension fastest.

    The metadata were checked: the files are as large as what is allocated.
    """
    item = ITEM_BYTES[tensor.dtype]
    places = [_find_values(folder, name, tensor, chunk, file) for chunk in tensor.chunks]
    values = bytearray(math.prod(tensor.shape) * item)
    target = memoryview(values)
    for chunk, start in zip(tensor.chunks, places, strict=True):
        with open_regular(folder / chunk.file, file) as stream:
            stream.seek(start)
            for first, count in _list_runs(chunk, tensor.shape):
                run = target[first * item : (first + count) * item]
                if stream.readinto(run) != len(run):  # type: ignore[attr-defined]
                    _raise_part_error(f"{file}/{chunk.file}", name, "was truncated meanwhile")
    return values


def _list_runs(chunk: Chunk, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the runs of a box in the values of its tensor: the first of each, and how many."""
    if not math.prod(chunk.sizes):
        return
    split = len(shape)  # from this dimension on, the box is as wide as the tensor
    while split and chunk.sizes[split - 1] == shape[split - 1]:
        split -= 1
    outer = max(0, split - 1)
    strides = contiguous_stride(shape)
    begin = sum(n * step for n, step in zip(chunk.offsets, strides, strict=True))
    count = math.prod(chunk.sizes[outer:])
    for index in product(*(range(size) for size in chunk.sizes[:outer])):
        yield begin + sum(n * step for n, step in zip(index, strides, strict=False)), count


def _raise_part_error(
    place: str, name: str, what: str, fix: str = "restore the folder from a copy"
) -> NoReturn:
    raise FormatError(Problem(place, name, what, fix, kind="tensors.dcp"))
