"""Memory in huge pages, which a processor reads faster than the usual pages of 4 KiB.

To read a matrix that its caches do not hold, a processor looks up where each page of it lies. Linux
gives pages of 2 MiB to memory for which a program asks so; weights that are read from a file, and
what torch allocates, have small ones.
"""

from __future__ import annotations

import mmap
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_PAGE = 2 * 1024 * 1024
# Where each tensor begins: at a line of the cache.
_LINE = 64


class HugePages:
    """Memory for tensors, one after the other; it lives as long as one of them."""

    def __init__(self, size: int) -> None:
        """Reserve memory; it is taken as tensors are filled.

        Args:
            size: Bytes of all tensors that will be made, at least.
        """
        whole = torch.frombuffer(_reserve(_PAGE + size), dtype=torch.uint8)
        self._left = whole[-whole.data_ptr() % _PAGE :]

    def empty(self, n_rows: int, n_columns: int, *, dtype: torch.dtype) -> Tensor:
        """Return a matrix whose values are not set; one that torch allocates if it is full."""
        size = n_rows * n_columns * dtype.itemsize
        if size > len(self._left):
            return torch.empty(n_rows, n_columns, dtype=dtype)
        taken, self._left = self._left[:size], self._left[size + -size % _LINE :]
        return taken.view(dtype).view(n_rows, n_columns)


if sys.platform == "linux":

    def _reserve(size: int) -> mmap.mmap:
        # Shared memory, which is Python's default, has another setting.
        reserved = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        reserved.madvise(mmap.MADV_HUGEPAGE)
        return reserved

else:

    def _reserve(size: int) -> mmap.mmap:
        return mmap.mmap(-1, size)


def has_huge_pages() -> bool:
    """Return whether the operating system has them and lets a program ask for them."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    try:
        return "[never]" not in _SETTING.read_text("ascii")
    except OSError:
        return False
