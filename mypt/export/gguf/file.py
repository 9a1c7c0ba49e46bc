"""Write a GGUF file by the `gguf` package."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.errors import FormatError, PluginError, Problem
from mypt.format.tensors.gguf.block_types import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray
    from torch import Tensor

_TYPES = ("F32", "F16", "BF16", "Q8_0")
# What the option `dtype` takes: ggml's names in either case, and torch's.
DTYPES: Mapping[str, str] = {
    **{name: name for name in _TYPES},
    **{name.lower(): name for name in _TYPES},
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
}
# `general.file_type`, which tells people what most tensors are.
FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
# The largest values; those of blocks of Q8_0 are 127 times their scale.
_MOST = {"F16": 65504.0, "Q8_0": 127 * 65504.0}


@frozen
class StoredTensor:
    """A tensor that is to be written.

    Attributes:
        name: Its name in the file.
        type_name: How its values are stored.
        shape: Its shape, rows before columns.
        make: Returns its values.
    """

    name: str
    type_name: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @property
    def size_bytes(self) -> int:
        """How many bytes it has in the file."""
        block = BY_NAME[self.type_name]
        return math.prod(self.shape) // block.values * block.size_bytes


def import_gguf() -> ModuleType:
    """Return the package `gguf`.

    Raises:
        PluginError: It is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        what, fix = "is not installed, which writes GGUF files", "run: pip install 'mypt-lm[gguf]'"
        raise PluginError(Problem("", "gguf", what, fix, kind="plugin.missing")) from error
    return gguf


def choose_type(name: str, shape: Sequence[int], wanted: str) -> str:
    """Return how a tensor is stored: vectors and positions are added to others, in float32.

    Rows that no blocks make up are stored in half precision instead.
    """
    if len(shape) < 2 or name == "position_embd.weight":
        return "F32"
    return "F16" if shape[-1] % BY_NAME[wanted].values else wanted


def write_file(
    path: Path, architecture: str, metadata: Mapping[str, Any], tensors: Sequence[StoredTensor]
) -> None:
    """Write metadata and tensors, one of these in memory at a time.

    Args:
        path: File to create.
        architecture: The architecture.
        metadata: Values by key.
        tensors: The tensors, in the order of the file.

    Raises:
        FormatError: A value is too large for the type of its tensor.
        PluginError: The package `gguf` is not installed.
    """
    import numpy as np

    gguf = import_gguf()
    writer = gguf.GGUFWriter(path, architecture)
    try:
        for key, value in metadata.items():
            _add_value(gguf, writer, key, value)
        for tensor in tensors:
            kind = gguf.GGMLQuantizationType[tensor.type_name]
            writer.add_tensor_info(
                tensor.name, tensor.shape, np.dtype(np.float32), tensor.size_bytes, kind
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(_convert(gguf, tensor))
    finally:
        writer.close()


def _add_value(gguf: ModuleType, writer: Any, key: str, value: Any) -> None:
    """Add a value of the metadata; numbers are of 32 bits."""
    kinds = gguf.GGUFValueType
    if isinstance(value, list):
        if value:  # the package writes no empty list
            kind = kinds.STRING if isinstance(value[0], str) else kinds.INT32
            writer.add_key_value(key, value, kinds.ARRAY, sub_type=kind)
        return
    by_type = {bool: kinds.BOOL, int: kinds.UINT32, float: kinds.FLOAT32, str: kinds.STRING}
    writer.add_key_value(key, value, by_type[type(value)])


def _convert(gguf: ModuleType, tensor: StoredTensor) -> NDArray[Any]:
    """Return the values of a tensor as they are stored.

    Raises:
        FormatError: One is too large for that.
    """
    import torch

    values = tensor.make().to(torch.float32).contiguous()
    most = _MOST.get(tensor.type_name)
    if most is not None and values.numel() and values.abs().max() > most:
        what = f"has values beyond {most:g}, the largest of {tensor.type_name}"
        fix = "choose another --dtype, such as BF16"
        raise FormatError(Problem("", tensor.name, what, fix, kind="export.dtype"))
    if tensor.type_name == "F32":
        return values.numpy()
    if tensor.type_name == "F16":
        return values.to(torch.float16).numpy()
    if tensor.type_name == "BF16":
        return values.to(torch.bfloat16).view(torch.int16).numpy()
    quantized: NDArray[Any] = gguf.quantize(values.numpy(), gguf.GGMLQuantizationType.Q8_0)
    return quantized
