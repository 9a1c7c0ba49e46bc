"""Write `.pt` files that torch can open, with equal bytes for equal content.

With `torch.save` the bytes depend on the identity of Python objects and on the file's name; here
they depend only on dtypes, shapes, values and which tensors share memory.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from mypt.format.tensors.info import STORAGES, DeferredTensor
from mypt.format.tensors.zip_writer import ArchiveWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import SupportsWrite
    from torch import Tensor, dtype

_STORAGE_NAMES = {dtype: name for name, (dtype, _) in STORAGES.items()}


def write_tensors(
    stream: SupportsWrite[bytes | memoryview], value: Any, dtype: dtype | None = None
) -> None:
    """Write tensors and plain values as one archive, without seeking.

    A tensor is written as its own values in order, whatever its device and whatever memory it is
    a view of. Tensors that are the same view of the same memory (tied weights) are written once
    and shared again after loading. Whether a tensor requires a gradient is not written.

    Args:
        stream: Where the bytes go, in order.
        value: Nested dict (with str or int keys), list and tuple of tensors, str, int, float, bool
            and None.
        dtype: What tensors are converted to, one by one as they are written; None for their own.

    Raises:
        TypeError: The value contains anything else (a caller's bug).
    """
    pickle = _PickleWriter(dtype)
    pickle.write(value)
    archive = ArchiveWriter(stream, "archive")
    archive.write("data.pkl", b"\x80\x02" + pickle.data + b".")
    archive.write("byteorder", b"little")
    for key, tensor in enumerate(pickle.tensors):
        archive.write(f"data/{key}", _read_values(tensor, dtype))
    archive.write("version", b"3\n")
    archive.close()


def list_stored(value: Any) -> list[Tensor | DeferredTensor]:
    """Return the tensors that `write_tensors` stores, each once, in the order in which it does."""
    pickle = _PickleWriter(None)
    pickle.write(value)
    return pickle.tensors


class _PickleWriter:
    """Builds a pickle without a memo: each value is written out where it occurs.

    Attributes:
        data: The bytes written so far.
        tensors: The tensors whose values must be stored, in the order of their keys.
    """

    def __init__(self, dtype: dtype | None) -> None:
        self._dtype = dtype
        self.data = bytearray()
        self.tensors: list[Tensor | DeferredTensor] = []
        self._keys: dict[tuple[object, ...], int] = {}

    def write(self, value: Any) -> None:
        """Append one value."""
        import torch

        match value:
            case None:
                self.data += b"N"
            case bool():
                self.data += b"\x88" if value else b"\x89"
            case int():
                self.data += _encode_integer(value)
            case float():
                self.data += b"G" + struct.pack(">d", value)
            case str():
                text = value.encode("utf-8", "surrogatepass")
                self.data += b"X" + struct.pack("<I", len(text)) + text
            case torch.Tensor() | DeferredTensor():
                self._write_tensor(value)
            case Mapping():
                self._write_all(b"}(", chain.from_iterable(map(_check_key, value.items())), b"u")
            case list():
                self._write_all(b"](", value, b"e")
            case tuple():
                self._write_all(b"(", value, b"t")
            case _:
                message = f"a checkpoint cannot hold a {type(value).__name__}"
                raise TypeError(message)

    def _write_all(self, before: bytes, values: Iterable[Any], after: bytes) -> None:
        self.data += before
        for value in values:
            self.write(value)
        self.data += after

    def _write_tensor(self, tensor: Tensor | DeferredTensor) -> None:
        """Append the call that rebuilds a contiguous tensor from a storage of its own size."""
        dtype = str(self._dtype or tensor.dtype).removeprefix("torch.")
        if dtype not in _STORAGE_NAMES or not _has_values(tensor):
            message = f"a checkpoint cannot hold a tensor of {tensor.dtype}"
            raise TypeError(message)
        key = self._keys.setdefault(_make_memory_key(tensor), len(self.tensors))
        if key == len(self.tensors):
            self.tensors.append(tensor)
        shape = tuple(tensor.shape)
        self.data += b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        self.data += f"ctorch\n{_STORAGE_NAMES[dtype]}\n".encode()
        self._write_all(b"", [str(key), "cpu", math.prod(shape)], b"tQ")
        self._write_all(b"", [0, shape, _contiguous_stride(shape), False], b"")
        self.data += b"ccollections\nOrderedDict\n)RtR"


def _check_key(item: tuple[Any, Any]) -> tuple[Any, Any]:
    if type(item[0]) not in (str, int):
        message = f"a checkpoint cannot hold the key {item[0]!r}"
        raise TypeError(message)
    return item


def _encode_integer(value: int) -> bytes:
    """Return the shortest pickle encoding of an integer."""
    if 0 <= value < 1 << 8:
        return b"K" + struct.pack("<B", value)
    if 0 <= value < 1 << 16:
        return b"M" + struct.pack("<H", value)
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    length = value.bit_length() // 8 + 1
    return b"\x8a" + struct.pack("<B", length) + value.to_bytes(length, "little", signed=True)


def _has_values(tensor: Tensor | DeferredTensor) -> bool:
    import torch

    if isinstance(tensor, DeferredTensor):
        return True
    return tensor.layout == torch.strided and not tensor.is_meta


def _make_memory_key(tensor: Tensor | DeferredTensor) -> tuple[object, ...]:
    """Return a key that two tensors share only if the same bytes of memory are written for both.

    Different shapes of the same contiguous memory have the same bytes.
    """
    if isinstance(tensor, DeferredTensor):
        return (tensor.key,)
    view = () if tensor.is_contiguous() else (tuple(tensor.shape), tensor.stride())
    if not tensor.numel():
        return (object(),)  # nothing to share
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.numel(), view)


def _contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps = accumulate(reversed(shape[1:]), lambda step, size: step * max(size, 1), initial=1)
    return tuple(reversed(list(steps))) if shape else ()


def _read_values(tensor: Tensor | DeferredTensor, dtype: dtype | None) -> memoryview:
    """Return the values of a tensor in order, copied only if memory does not hold them so."""
    import torch

    tensor = tensor.fetch() if isinstance(tensor, DeferredTensor) else tensor
    values = tensor.detach().cpu().to(dtype or tensor.dtype).contiguous().reshape(-1)
    return values.view(torch.uint8).numpy().data
