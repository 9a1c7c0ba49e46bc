"""What a file says of its tensors, before any of them is read."""

from __future__ import annotations

import math

from attrs import frozen

# torch's storage classes, by the dtype they hold and its size in bytes.
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
    """A stretch of memory that tensors are views of.

    Attributes:
        dtype: Name of its dtype, such as `float32`.
        key: Name of its member in the archive, without `data/`.
        numel: Number of its values.
    """

    dtype: str
    key: str
    numel: int

    @property
    def size_bytes(self) -> int:
        """Size of its member."""
        return self.numel * ITEM_BYTES[self.dtype]


@frozen
class TensorInfo:
    """A tensor as its file describes it.

    Attributes:
        dtype: Name of its dtype, such as `float32`.
        shape: Its size in each dimension.
        stride: Values to skip for the next index, in each dimension.
        storage_key: Name of its storage in the archive.
        storage_offset: Values of the storage before its first one.
        storage_bytes: Size of its storage.
    """

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    storage_key: str
    storage_offset: int
    storage_bytes: int

    @property
    def numel(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)

    @property
    def span(self) -> tuple[int, int]:
        """The bytes of its storage from its first value to behind its last; (0, 0) if it has none.

        Exact for contiguous tensors; others may leave values in between to other tensors.
        """
        if not self.numel:
            return 0, 0
        item = ITEM_BYTES[self.dtype]
        reach = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return self.storage_offset * item, (self.storage_offset + reach + 1) * item

    @property
    def is_contiguous(self) -> bool:
        """Whether its values lie in its storage one after the other, last dimension fastest."""
        expected = 1
        for size, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size != 1 and step != expected:
                return False
            expected *= size
        return True
