"""Read the `.metadata` of a folder of torch.distributed.checkpoint: which tensors, and where.

It is a pickle of the classes of `torch.distributed.checkpoint.metadata`, which are described and
not built. Source: that module, and `torch.distributed.checkpoint.filesystem`.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from attrs import define, frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import is_file_name, open_regular
from mypt.format.tensors.info import ITEM_BYTES
from mypt.format.tensors.pickles.foreign_pickle import Constructor, ForeignInterpreter
from mypt.format.tensors.pickles.pickle_machine import MAX_PICKLE_BYTES
from mypt.format.tensors.pickles.pickle_reader import MAX_DIMENSIONS, MAX_INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

METADATA = ".metadata"
_MAX_CHUNKS = 4096  # of one tensor: more than ranks that a model is cut for
_MAX_OPERATIONS = 24_000_000  # 60 for each part: of 1,500 tensors and 256 ranks
_MAX_CUTS = 4  # dimensions in which a tensor is cut: more than meshes of ranks have
_MODULE = "torch.distributed.checkpoint.metadata"
_RECORDS = (
    *("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "TensorProperties"),
    *("ChunkStorageMetadata", "MetadataIndex", "StorageMeta"),
)


@frozen
class Chunk:
    """A box of a tensor, saved as a tensor of its own in a part of a file.

    Attributes:
        offsets: Its first index in each dimension.
        sizes: Its size in each dimension.
        file: Name of the file in the folder.
        start: First byte of the part.
        length: Size of the part in bytes.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    start: int
    length: int


@frozen
class ChunkedTensor:
    """A tensor of a folder.

    Attributes:
        dtype: Name of its dtype, such as `float32`.
        shape: Size in each dimension.
        chunks: What it consists of, in the order of their offsets; every value is in one of them.
    """

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]


def read_metadata(folder: Path, file: str) -> dict[str, ChunkedTensor | None]:
    """Return the tensors of a folder by name; None for what is saved there and no tensor.

    Args:
        folder: A folder with a `.metadata`.
        file: Its name, for messages.

    Raises:
        FormatError: It is damaged, holds an object of another class, or describes tensors whose
            parts are missing, overlap or leave gaps.
        OSError: It cannot be read.
    """
    place = f"{file}/{METADATA}"
    with open_regular(folder / METADATA, place) as stream:
        data = stream.read(MAX_PICKLE_BYTES + 1)
    if len(data) > MAX_PICKLE_BYTES:
        _raise_metadata_error(place, "", f"is larger than {MAX_PICKLE_BYTES} bytes")
    machine = _MetadataInterpreter(data, place, frozenset())
    fields = _fields_of(machine.run(), "Metadata", place)
    parts = _index_parts(fields.get("storage_data"), place)
    described = fields.get("state_dict_metadata")
    if not isinstance(described, dict):
        _raise_metadata_error(place, "", "does not describe a state dict")
    tensors = {n: _convert_entry(n, entry, parts, place) for n, entry in described.items()}
    _check_parts(tensors, place)
    return tensors


@define(eq=False)
class _Record:
    """An object of the file: its class, and the state that the file sets."""

    kind: str
    state: Any = None


def _make_record(kind: str) -> Constructor:
    return Constructor(lambda _, __: _Record(kind))


_VALUES = {
    **{f"{_MODULE}\n{kind}".encode(): _make_record(kind) for kind in _RECORDS},
    b"torch.distributed.checkpoint.filesystem\n_StorageInfo": _make_record("_StorageInfo"),
    f"{_MODULE}\n_MEM_FORMAT_ENCODING".encode(): Constructor(lambda _, __: None),
    b"torch.serialization\n_get_layout": Constructor(lambda _, arguments: arguments[0]),
}


class _MetadataInterpreter(ForeignInterpreter):
    """A pickle machine that describes the objects of such a file, which are keys there as well."""

    max_operations: ClassVar[int] = _MAX_OPERATIONS
    leaves: ClassVar[tuple[type, ...]] = (*ForeignInterpreter.leaves, _Record)
    keys: ClassVar[tuple[type, ...]] = (*ForeignInterpreter.keys, _Record)

    def find_global(self, name: bytes) -> Any:
        return _VALUES[name] if name in _VALUES else super().find_global(name)

    def set_state(self, target: Any, state: Any) -> Any:
        if type(target) is not _Record:
            return super().set_state(target, state)
        if target.state is not None:
            raise ValueError
        target.state = state
        return target


def _fields_of(record: Any, kind: str, place: str) -> Mapping[str, Any]:
    """Return the state of an object that must be of a class; without any, it is empty."""
    if type(record) is not _Record or record.kind != kind:
        _raise_metadata_error(place, "", f"has something else in the place of a {kind}")
    state = {} if record.state is None else record.state
    if not isinstance(state, dict):
        _raise_metadata_error(place, "", f"has a {kind} as torch never writes one")
    return state


def _index_parts(held: Any, place: str) -> dict[tuple[str, tuple[int, ...]], Mapping[str, Any]]:
    """Return where each part of a tensor is saved, by the tensor's name and its offsets."""
    parts = {}
    for key, value in held.items() if isinstance(held, dict) else ():
        index = _fields_of(key, "MetadataIndex", place)
        info = _fields_of(value, "_StorageInfo", place)
        if index.get("offset") is not None:  # else of what is no tensor
            offsets = _require_sizes(index["offset"], str(index.get("fqn")), place)
            parts[str(index.get("fqn")), offsets] = info
    return parts


def _convert_entry(
    name: Any,
    entry: Any,
    parts: Mapping[tuple[str, tuple[int, ...]], Mapping[str, Any]],
    place: str,
) -> ChunkedTensor | None:
    if type(name) is not str:
        _raise_metadata_error(place, "", "names a tensor by something other than text")
    if type(entry) is _Record and entry.kind == "BytesStorageMetadata":
        return None
    fields = _fields_of(entry, "TensorStorageMetadata", place)
    dtype = _find_dtype(fields.get("properties"), name, place)
    shape = _require_sizes(fields.get("size"), name, place)
    held = fields.get("chunks")
    if not isinstance(held, list) or not 0 < len(held) <= _MAX_CHUNKS:
        _raise_metadata_error(place, name, f"does not consist of 1 to {_MAX_CHUNKS} parts")
    chunks = sorted(
        (_convert_chunk(chunk, name, parts, place) for chunk in held),
        key=lambda chunk: chunk.offsets,
    )
    check_cover(chunks, shape, name, place)
    return ChunkedTensor(dtype, shape, tuple(chunks))


def _find_dtype(properties: Any, name: str, place: str) -> str:
    state = properties.state if type(properties) is _Record else None
    if not isinstance(state, tuple) or not state or not isinstance(state[0], str):
        _raise_metadata_error(place, name, "does not say its dtype")
    if state[0] not in ITEM_BYTES:
        what = f"has the dtype {state[0]}, which mypt does not read"
        _raise_metadata_error(place, name, what, "convert it")
    return state[0]


def _convert_chunk(
    record: Any,
    name: str,
    parts: Mapping[tuple[str, tuple[int, ...]], Mapping[str, Any]],
    place: str,
) -> Chunk:
    fields = _fields_of(record, "ChunkStorageMetadata", place)
    offsets, sizes = (_require_sizes(fields.get(key), name, place) for key in ("offsets", "sizes"))
    info = parts.get((name, offsets))
    if info is None:
        _raise_metadata_error(place, name, f"has a part at {offsets} that is in no file")
    if info.get("transform_descriptors"):
        what = "is saved through a transform, such as a compression"
        _raise_metadata_error(place, name, what, "save it without one")
    match info:
        case {"relative_path": str(file), "offset": int(start), "length": int(length)}:
            pass
        case _:
            _raise_metadata_error(place, name, "does not say where it is saved")
    if not is_file_name(file) or start < 0 or length <= 0:
        _raise_metadata_error(place, name, f"is said to be in {file!r}", "do not trust its source")
    return Chunk(offsets, sizes, file, start, length)


def _require_sizes(value: Any, name: str, place: str) -> tuple[int, ...]:
    if (
        not isinstance(value, (tuple, list))
        or len(value) > MAX_DIMENSIONS
        or any(type(number) is not int or not 0 <= number < MAX_INDEX for number in value)
    ):
        _raise_metadata_error(place, name, "has sizes that no tensor has")
    return tuple(value)


def check_cover(chunks: Sequence[Chunk], shape: tuple[int, ...], name: str, place: str) -> None:
    """Raise if boxes do not fill a tensor exactly.

    Args:
        chunks: The boxes.
        shape: Shape of the tensor.
        name: Its name, for messages.
        place: Name of the file that says so, for messages.

    Raises:
        FormatError: Two of them overlap, they leave a gap, or one reaches out.
    """
    for chunk in chunks:
        ends = [first + size for first, size in zip(chunk.offsets, chunk.sizes, strict=False)]
        if len(chunk.offsets) != len(shape) or len(chunk.sizes) != len(shape):
            _raise_metadata_error(place, name, "has a part of other dimensions")
        if any(end > size for end, size in zip(ends, shape, strict=True)):
            _raise_metadata_error(place, name, f"has a part that ends at {ends}, beyond {shape}")
    cut = [n for n, size in enumerate(shape) if any(chunk.sizes[n] != size for chunk in chunks)]
    if len(cut) > _MAX_CUTS:
        _raise_metadata_error(place, name, f"is cut in more than {_MAX_CUTS} dimensions")
    if not _have_all_values(chunks, shape, cut):
        _raise_metadata_error(place, name, "has parts that overlap or leave gaps")


def _check_parts(tensors: Mapping[str, ChunkedTensor | None], place: str) -> None:
    """Raise if two tensors share a part of a file: so all of them are no larger than the files."""
    parts = sorted(
        (chunk.file, chunk.start, chunk.start + chunk.length, name)
        for name, tensor in tensors.items()
        for chunk in (() if tensor is None else tensor.chunks)
    )
    for (file, _, end, _), (other, start, _, name) in pairwise(parts):
        if file == other and start < end:
            _raise_metadata_error(place, name, f"overlaps with another tensor in {file}")


def _have_all_values(chunks: Sequence[Chunk], shape: tuple[int, ...], cut: Sequence[int]) -> bool:
    """Return whether boxes within a tensor hold each of its values once.

    How many boxes hold a value is the sum over the corners of boxes before it, of which those with
    an odd number of ends count -1. So it is 1 everywhere if these signs add up, corner by corner,
    to those of the whole. To compare each box with each other would take too long for many.

    Args:
        chunks: The boxes; those without values do not count.
        shape: Shape of the tensor.
        cut: The dimensions in which not all boxes are as wide as the tensor.
    """
    signs: Counter[tuple[int, ...]] = Counter()
    whole = Chunk((0,) * len(shape), shape, "", 0, 0)
    for chunk, sign in (*((chunk, 1) for chunk in chunks), (whole, -1)):
        if math.prod(chunk.sizes):
            begins, sizes = chunk.offsets, chunk.sizes
            for ends in product((0, 1), repeat=len(cut)):
                corner = tuple(begins[n] + sizes[n] * end for n, end in zip(cut, ends, strict=True))
                signs[corner] += -sign if sum(ends) % 2 else sign
    return not any(signs.values())


def _raise_metadata_error(
    place: str, where: str, what: str, fix: str = "restore the folder from a copy"
) -> NoReturn:
    raise FormatError(Problem(place, where, what, fix, kind="tensors.dcp"))
