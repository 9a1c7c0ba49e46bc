"""The `.bin` files that llama2.c's `export.py` writes, of versions 0, 1 and 2.

Version 0, which `run.c` reads, is a header of 7 numbers and float32 values. The header of version 1
has 256 bytes. Version 2, of `runq.c`, has 8-bit matrices in groups with a scale each. All is
little-endian.

Source: `export.py`, `run.c` and `runq.c` of llama2.c.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.contract import FileForm
from mypt.format.readers.llama2c.tensor_names import NORM, OUTPUT, TOKENS
from mypt.format.storage.files import MappedFiles, open_regular
from mypt.format.tensors.info import TensorInfo, contiguous_stride

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypt.format.layout import Shape

MAGIC = 0x616B3432  # "ak42"
SIZES = struct.Struct("<7i")
# Magic and version, the sizes, whether the output layer is the embedding, the size of a group.
_START, _FLAGS = struct.Struct("<Ii"), struct.Struct("<Bi")
HEADER_BYTES = 256
_FLOAT, _KIND = 4, "foreign.llama2c"
_RESTORE = "restore the file, or export it again"


@frozen(kw_only=True)
class Header:
    """What the header of a `.bin` file says.

    Attributes:
        version: 0, 1 or 2.
        dim: Width of the residual stream.
        hidden_dim: Width inside the feed-forward part.
        n_layers: Number of layers.
        n_heads: Number of heads of queries.
        n_kv_heads: Number of heads of keys and values.
        vocab_size: Number of ids.
        seq_len: Longest sequence.
        is_shared: Whether the output layer is the token embedding.
        group_size: Of version 2, how many values have a scale together; else 0.
    """

    version: int
    dim: int
    hidden_dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int
    seq_len: int
    is_shared: bool
    group_size: int = 0

    @property
    def kv_dim(self) -> int:
        """Width of all heads of the keys together."""
        return self.dim // self.n_heads * self.n_kv_heads

    @property
    def table_shape(self) -> Shape:
        """Shape of the tables of cosines and of sines, which version 0 has."""
        return self.seq_len, self.dim // self.n_heads // 2

    def matrix_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the matrices of a layer by name, in the order of the files."""
        return {
            "attention.wq": (self.dim, self.dim),
            "attention.wk": (self.kv_dim, self.dim),
            "attention.wv": (self.kv_dim, self.dim),
            "attention.wo": (self.dim, self.dim),
            "feed_forward.w1": (self.hidden_dim, self.dim),
            "feed_forward.w2": (self.dim, self.hidden_dim),
            "feed_forward.w3": (self.hidden_dim, self.dim),
        }

    def count_bytes(self) -> int:
        """Return the size of the file, without listing what is in it."""
        per_layer = sum(map(math.prod, self.matrix_shapes().values()))
        tables = self.vocab_size * self.dim * (1 if self.is_shared else 2)
        matrices, norms = self.n_layers * per_layer + tables, (2 * self.n_layers + 1) * self.dim
        if self.version == 2:
            return HEADER_BYTES + norms * _FLOAT + matrices + matrices // self.group_size * _FLOAT
        if self.version == 1:
            return HEADER_BYTES + (norms + matrices) * _FLOAT
        return SIZES.size + (norms + matrices + 2 * math.prod(self.table_shape)) * _FLOAT

    def list_tensors(self) -> Iterator[tuple[str, Shape]]:
        """Yield the names and shapes of the tensors, in the order of the file.

        A name that is empty stands for the tables of cosines and sines.
        """
        matrices = self.matrix_shapes()
        tokens = (self.vocab_size, self.dim)

        def every(name: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
            for layer in range(self.n_layers):
                yield f"layers.{layer}.{name}.weight", shape

        norms = (self.dim,)
        if self.version == 0:
            yield TOKENS, tokens
            yield from every("attention_norm", norms)
            for name, shape in matrices.items():
                if name == "feed_forward.w1":
                    yield from every("ffn_norm", norms)
                yield from every(name, shape)
            yield NORM, norms
            yield "", (2, *self.table_shape)
        else:
            yield from every("attention_norm", norms)
            yield from every("ffn_norm", norms)
            yield NORM, norms
            yield TOKENS, tokens
            for name, shape in matrices.items():
                yield from every(name, shape)
        if not self.is_shared:
            yield OUTPUT, tokens

    def is_quantized(self, shape: Shape) -> bool:
        """Return whether a tensor is stored as 8-bit values with scales."""
        return self.version == 2 and len(shape) == 2

    def pack(self) -> bytes:
        """Return the bytes of the header."""
        rows = self.vocab_size if self.version or self.is_shared else -self.vocab_size
        sizes = SIZES.pack(
            *(self.dim, self.hidden_dim, self.n_layers, self.n_heads, self.n_kv_heads),
            *(rows, self.seq_len),
        )
        if self.version == 0:
            return sizes
        flags = _FLAGS.pack(self.is_shared, self.group_size)
        return (_START.pack(MAGIC, self.version) + sizes + flags).ljust(HEADER_BYTES, b"\0")


@frozen
class BinFile:
    """What a `.bin` file holds.

    Attributes:
        header: Its header.
        tensors: Its tensors under the names of `ckpt.pt`, or their descriptions.
    """

    header: Header
    tensors: Mapping[str, Any]


def is_bin(path: Path) -> bool:
    """Return whether this is such a file.

    Version 0 has no mark of its own: its sizes must make sense, and make up the size of the file.
    """
    try:
        with open_regular(path, path.name) as stream:
            if _has_magic(stream.read(_START.size)):
                return True
            read_header(stream, path.name)
    except (FormatError, OSError):
        return False
    return True


def describe(path: Path, file: str) -> BinFile:
    """Return what a file holds, with descriptions in the place of tensors.

    Raises:
        FormatError: See `read_header`.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        header = read_header(stream, file)
    infos = {
        name: TensorInfo("float32", shape, contiguous_stride(shape), name, 0, size)
        for name, shape in header.list_tensors()
        if name
        for size in [math.prod(shape) * _FLOAT]
    }
    return BinFile(header, infos)


def load(path: Path, file: str, mapped: MappedFiles | None = None) -> BinFile:
    """Return what a file holds; float32 tensors are mapped, 8-bit ones are computed one by one.

    Raises:
        FormatError: See `read_header`; or a scale is not finite.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        header = read_header(stream, file)
        if header.version == 2:
            return BinFile(header, _read_quantized(stream, header, file))
        mapped = MappedFiles() if mapped is None else mapped
        try:
            content = mapped.map(stream, header.count_bytes())
        except ValueError as error:
            raise _make_error(file, "", f"cannot be mapped to memory: {error}") from error
    import torch

    values = torch.frombuffer(content, dtype=torch.float32)
    place = (HEADER_BYTES if header.version else SIZES.size) // _FLOAT
    tensors = {}
    for name, shape in header.list_tensors():
        end = place + math.prod(shape)
        if name:
            tensors[name] = values[place:end].view(shape)
        place = end
    return BinFile(header, tensors)


FORM = FileForm(describe=describe, load=load)


def read_header(stream: BinaryIO, file: str) -> Header:
    """Read the header of a file, and compare it with the size of the file.

    Raises:
        FormatError: It is cut, of an unknown version, or its sizes contradict each other or the
            size of the file.
    """
    stream.seek(0)
    data = stream.read(HEADER_BYTES)
    has_magic = _has_magic(data)
    if len(data) < (HEADER_BYTES if has_magic else SIZES.size):
        raise _make_error(file, "", "ends within its header")
    version, place = 0, 0
    if has_magic:
        version, place = _START.unpack_from(data)[1], _START.size
        if version not in (1, 2):
            raise _make_error(file, "version", f"is {version}; mypt reads 0, 1 and 2 of llama2.c")
    sizes = list(SIZES.unpack_from(data, place))
    known = place + SIZES.size + (_FLAGS.size if version == 2 else 1)
    if has_magic and any(data[known:]):
        raise _make_error(file, "", f"has bytes from {known} on in its header that are not known")
    shared, group = _FLAGS.unpack_from(data, place + SIZES.size) if has_magic else (sizes[5] > 0, 0)
    if not has_magic:
        sizes[5] = abs(sizes[5])  # the sign tells whether the output layer is the embedding
    if shared not in (0, 1):
        raise _make_error(file, "shared_classifier", f"is {shared}, neither 0 nor 1")
    header = Header(
        **dict(zip(_NAMES, sizes, strict=True)),
        version=version,
        is_shared=bool(shared),
        group_size=group if version == 2 else 0,
    )
    _check_header(header, file)
    size, wanted = stream.seek(0, 2), header.count_bytes()
    if size != wanted:
        what = f"has {size} bytes, but a model of the sizes in its header takes {wanted}"
        raise _make_error(file, "", what)
    stream.seek(HEADER_BYTES if version else SIZES.size)
    return header


_NAMES = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len")


def _has_magic(data: bytes) -> bool:
    return len(data) >= _START.size and _START.unpack_from(data)[0] == MAGIC


def _check_header(header: Header, file: str) -> None:
    for name in _NAMES:
        if getattr(header, name) <= 0:
            raise _make_error(file, name, f"is {getattr(header, name)}, not a positive number")
    if header.dim % (2 * header.n_heads):
        what = f"is {header.n_heads}, but {header.dim} values are no heads of an even width then"
        raise _make_error(file, "n_heads", what)
    if header.n_heads % header.n_kv_heads:
        what = f"is {header.n_kv_heads}, which does not divide the {header.n_heads} heads"
        raise _make_error(file, "n_kv_heads", what)
    group = header.group_size
    if header.version == 2 and (group <= 0 or group % 2 or header.dim % group):
        what = f"is {group}, not an even number that divides dim ({header.dim})"
        raise _make_error(file, "group_size", what)


def _read_quantized(stream: BinaryIO, header: Header, file: str) -> dict[str, Any]:
    """Return all tensors of version 2, each from its own bytes: value times the group's scale."""
    import numpy as np
    import torch

    tensors = {}
    for name, shape in header.list_tensors():
        count = math.prod(shape)
        if not header.is_quantized(shape):
            tensors[name] = torch.from_numpy(np.fromfile(stream, "<f4", count)).view(shape)
            continue
        groups = np.fromfile(stream, np.int8, count).reshape(-1, header.group_size)
        scales = np.fromfile(stream, "<f4", len(groups))
        if not np.isfinite(scales).all():
            raise _make_error(file, name, "has a scale that is not a finite number")
        values = groups.astype(np.float32)
        values *= scales[:, None]
        tensors[name] = torch.from_numpy(values).view(shape)
    return tensors


def _make_error(file: str, where: str, what: str) -> FormatError:
    return FormatError(Problem(file, where, what, _RESTORE, kind=_KIND))
