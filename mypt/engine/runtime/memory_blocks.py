"""Place many tensors in a few blocks of memory whose sizes are powers of two.

torch rounds each allocation of pinned memory up to a power of two, so that tensors of 1280 times
1280 would take 1.3 times their size if each had an allocation of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from typing import TypeVar

    K = TypeVar("K", bound=Hashable)

_ALIGNMENT = 64
_LARGEST = 1 << 28  # of a block that no single tensor needs larger
_SMALLEST = 1 << 20


def allocate_like(tensors: Mapping[K, torch.Tensor], *, pinned: bool) -> dict[K, torch.Tensor]:
    """Allocate a tensor on the CPU like each of some tensors, uninitialized.

    Args:
        tensors: By key, contiguous or not, on any device; their values are not read.
        pinned: Whether a GPU is to copy to them while the CPU does something else.

    Returns:
        Contiguous tensors by key, with the dtypes and shapes of those.

    Raises:
        RuntimeError: There is not enough memory; or an error of torch that says so.
    """
    waiting = sorted(tensors, key=lambda key: tensors[key].nbytes, reverse=True)
    made: dict[K, torch.Tensor] = {}
    while waiting:
        total = sum(_aligned(tensors[key]) for key in waiting)
        size = max(_block_size(total), _round_up(_aligned(tensors[waiting[0]])))
        block = torch.empty(size, dtype=torch.uint8, pin_memory=pinned)
        begin, left = 0, []
        for key in waiting:
            like, end = tensors[key], begin + _aligned(tensors[key])
            if end > size:
                left.append(key)
                continue
            made[key] = block[begin : begin + like.nbytes].view(like.dtype).view(like.shape)
            begin = end
        waiting = left
    return made


def _block_size(total: int) -> int:
    """Return the largest block that tensors fill, of no more than `_LARGEST`.

    What is left over goes to ever smaller blocks, so that little of the last one stays empty.
    """
    return min(_LARGEST, max(_SMALLEST, 1 << (total.bit_length() - 1)))


def _round_up(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _aligned(tensor: torch.Tensor) -> int:
    return -(-max(tensor.nbytes, 1) // _ALIGNMENT) * _ALIGNMENT
