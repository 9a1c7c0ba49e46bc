"""Descriptions of tensors, as a file gives them before any tensor is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from torch import Tensor

# torch's storage classes, with the dtype they hold and its size in bytes.
STORAGES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
ITEM_BYTES = dict(STORAGES.values())
FLOATING = frozenset({"float64", "float32", "float16", "bfloat16"})


@frozen
class StorageInfo:
    """A block of memory that tensors are views of.

    Attributes:
        dtype: Name of its dtype, such as `float32`.
        key: Name of its member in the archive, without `data/`.
        numel: Number of values.
    """

    dtype: str
    key: str
    numel: int

    @property
    def size_bytes(self) -> int:
        """Size of its member in bytes."""
        return self.numel * ITEM_BYTES[self.dtype]


@frozen
class TensorInfo:
    """A tensor as its file describes it.

    Attributes:
        dtype: Name of its dtype, such as `float32`.
        shape: Size in each dimension.
        stride: Number of values from one index to the next, in each dimension.
        storage_key: Name of its storage in the archive; see `of_file`.
        storage_offset: Number of values in the storage before its first one.
        storage_bytes: Size of its storage in bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    storage_key: str
    storage_offset: int
    storage_bytes: int

    @property
    def numel(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def span(self) -> tuple[int, int]:
        """Byte range of its values in its storage, end exclusive; (0, 0) if it is empty.

        Exact for contiguous tensors; others may have values of other tensors in between.
        """
        reach = 0
        for size, step in zip(self.shape, self.stride, strict=True):
            if not size:
                return 0, 0
            reach += (size - 1) * step
        item = ITEM_BYTES[self.dtype]
        return self.storage_offset * item, (self.storage_offset + reach + 1) * item

    @property
    def is_contiguous(self) -> bool:
        """Whether its values are consecutive in its storage, with the last dimension fastest."""
        expected = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != expected:
                return False
            expected *= size
        return True

    @property
    def archive_key(self) -> str:
        """Name of its storage in the archive that it is in."""
        return self.storage_key.rpartition("/")[2]

    def of_file(self, name: str) -> TensorInfo:
        """Describe it as one of several archives, whose storages have equal names.

        Args:
            name: What tells the archive from the others.
        """
        return evolve(self, storage_key=f"{name}/{self.storage_key}")

    def with_shape(self, shape: tuple[int, ...], how: str = "converted") -> TensorInfo:
        """Describe a tensor that is made of this one and in no file yet: contiguous, of its dtype.

        Args:
            shape: Size in each dimension.
            how: A word for how it is made; what is made in another way is another tensor.
        """
        return evolve(
            self,
            shape=shape,
            stride=contiguous_stride(shape),
            storage_key=f"{how} {self.storage_key}+{self.storage_offset}",
            storage_offset=0,
            storage_bytes=math.prod(shape) * ITEM_BYTES[self.dtype],
        )


@frozen
class DeferredTensor:
    """A tensor that is fetched each time its values are wanted, so that it takes no memory else.

    Attributes:
        dtype: Name of its dtype, such as `float32`.
        shape: Size in each dimension.
        key: What is equal for two that are one and the same tensor.
        fetch: Returns it.
    """

    dtype: str
    shape: tuple[int, ...]
    key: Hashable
    fetch: Callable[[], Tensor]


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of values from one index to the next, the last dimension being fastest."""
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))


def are_comparable(one: TensorInfo, other: TensorInfo) -> bool:
    """Return whether equal values of two tensors are equal bytes in their files."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and one.is_contiguous and other.is_contiguous
