"""Convert the tensors that a reader returns: torch tensors, numpy arrays and descriptions."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mypt.format.tensors.info import ITEM_BYTES, DeferredTensor, TensorInfo, contiguous_stride

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from mypt.format.storage.files import MappedFiles

# So many bytes of a file that has been converted may stay in memory.
_RELEASED_BYTES = 1024 * 1024


def is_tensor(value: object) -> bool:
    """Return whether a value is a torch tensor or a numpy array; imports neither package."""
    return _is_torch_tensor(value) or _is_numpy_array(value)


def to_plain(value: Any) -> Any:
    """Return nested dicts, lists and tuples with Python's numbers in place of numpy's."""
    if isinstance(value, Mapping):
        return {key: to_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(one) for one in value]
    numpy = sys.modules.get("numpy")
    is_numpy = numpy is not None and isinstance(value, numpy.generic)
    return value.item() if is_numpy else value


def convert_nested(value: Any, convert: Callable[[Any], Any]) -> Any:
    """Return nested dicts, lists and tuples with each tensor or description converted."""
    if isinstance(value, TensorInfo | DeferredTensor) or is_tensor(value):
        return convert(value)
    if isinstance(value, dict):
        return {key: convert_nested(one, convert) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(convert_nested(one, convert) for one in value)
    return value


def describe_all(tensors: Mapping[str, Any]) -> dict[str, TensorInfo]:
    """Describe tensors by name; names of one and the same tensor share its storage.

    Raises:
        TypeError: A value is no tensor, or of a dtype that a checkpoint cannot hold.
    """
    first: dict[tuple[object, ...], str] = {}
    return {
        name: value
        if isinstance(value, TensorInfo)
        else describe(value, first.setdefault(_view_of(value, name), name))
        for name, value in tensors.items()
    }


def describe(value: Any, key: str = "") -> TensorInfo:
    """Describe a torch tensor or numpy array as a contiguous one, in a storage called `key`.

    Raises:
        TypeError: It is neither, or is of a dtype that a checkpoint cannot hold, or a torch tensor
            that is sparse or has no values.
    """
    if isinstance(value, TensorInfo):
        return value
    if not is_tensor(value):
        message = f"is a {type(value).__name__}, not a torch tensor or a numpy array"
        raise TypeError(message)
    dtype = _get_dtype_name(value)
    if dtype not in ITEM_BYTES:
        message = f"is of {dtype}, which a checkpoint cannot hold"
        raise TypeError(message)
    if _is_torch_tensor(value) and not _has_plain_values(value):
        kind = "without values (device meta)" if value.is_meta else f"of layout {value.layout}"
        message = f"is {kind}, not a dense tensor with values"
        raise TypeError(message)
    shape = tuple(map(int, value.shape))
    size_bytes = math.prod(shape) * ITEM_BYTES[dtype]
    return TensorInfo(dtype, shape, contiguous_stride(shape), key, 0, size_bytes)


def to_tensors(tensors: Mapping[str, Any], tied: frozenset[str] = frozenset()) -> dict[str, Tensor]:
    """Return torch tensors by name, each in memory of its own.

    Args:
        tensors: Torch tensors and numpy arrays.
        tied: Names of tensors that may be one and the same.
    """
    seen: dict[tuple[object, ...], str] = {}
    converted = {}
    for name, value in tensors.items():
        tensor = to_tensor(value)
        first = seen.setdefault(_view_of(tensor, name), name)
        is_own = first == name or {first, name} <= tied
        converted[name] = tensor if is_own else tensor.clone()
    return converted


def convert_each(
    tensors: dict[str, Tensor], convert: Callable[[Tensor], Tensor], mapped: MappedFiles
) -> dict[str, Tensor]:
    """Convert tensors one after the other, without keeping those that are converted in memory.

    The largest is the first, since it and what it is converted to take memory at once.

    Args:
        tensors: Tensors by name; emptied on the way.
        convert: Returns what a tensor is converted to; called once for tensors that are the same.
        mapped: The files that they are mapped to.
    """
    views = {name: _view_of(tensor, name) for name, tensor in tensors.items()}
    converted: dict[tuple[object, ...], Tensor] = {}
    size_bytes = 0
    for name in sorted(views, key=lambda name: tensors[name].nbytes, reverse=True):
        tensor, view = tensors.pop(name), views[name]
        if view not in converted:
            converted[view] = convert(tensor)
            size_bytes += 0 if converted[view] is tensor else tensor.nbytes
        if size_bytes > _RELEASED_BYTES:
            mapped.release()
            size_bytes = 0
    mapped.release()
    return {name: converted[view] for name, view in views.items()}


class FetchedValues(Mapping[str, Any]):
    """Values by name, of which a deferred tensor is fetched each time that it is asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Wrap values, of which some may be deferred tensors."""
        self._values = values

    def __getitem__(self, name: str) -> Any:
        """Return a value."""
        value = self._values[name]
        return value.fetch() if isinstance(value, DeferredTensor) else value

    def __contains__(self, name: object) -> bool:
        """Return whether there is a value, which is not fetched."""
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(self._values)


def fetch_all(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name with each deferred tensor fetched, once for all its names."""
    deferred = {value.key: value for value in tensors.values() if isinstance(value, DeferredTensor)}
    fetched = {key: value.fetch() for key, value in deferred.items()}
    return {
        name: fetched[value.key] if isinstance(value, DeferredTensor) else value
        for name, value in tensors.items()
    }


def to_tensor(value: Any) -> Tensor:
    """Return a torch tensor or numpy array as a torch tensor; a writable array is not copied.

    Raises:
        TypeError: It is a description.
    """
    import torch

    if isinstance(value, TensorInfo):
        message = "a tensor is described, where its values were wanted"
        raise TypeError(message)
    if isinstance(value, DeferredTensor):
        value = value.fetch()
    if isinstance(value, torch.Tensor):
        return value.detach()
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    if not value.flags.writeable or any(step < 0 for step in value.strides):
        value = value.copy()
    if value.dtype.name == "bfloat16":  # which numpy knows by an extension, and torch not by it
        return torch.from_numpy(value.view("uint16")).view(torch.bfloat16)
    return torch.from_numpy(value)


def _get_dtype_name(value: Any) -> str:
    if _is_torch_tensor(value):
        return str(value.dtype).removeprefix("torch.")
    return str(value.dtype.name)


def _view_of(value: Any, name: str) -> tuple[object, ...]:
    """Return what is equal for two tensors that are the same view of the same memory."""
    if not is_tensor(value) or 0 in value.shape:
        return (name,)
    if _is_torch_tensor(value):
        place, strides = value.data_ptr(), value.stride()
    else:
        place, strides = value.ctypes.data, value.strides
    return place, tuple(value.shape), strides, value.dtype


def _has_plain_values(value: Tensor) -> bool:
    return str(value.layout) == "torch.strided" and not value.is_meta


def _is_torch_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_numpy_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)
