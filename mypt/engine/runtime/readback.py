"""Numbers that a GPU computes, read without waiting for what it is asked to do next."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

T = TypeVar("T")


class Readback:
    """Values on their way to the CPU.

    `item` and `tolist` of a tensor on a GPU wait until the GPU has done all that was asked of it
    by then. A reading is under way from where it is made, and waits for no more than that.
    """

    def __init__(self, values: Tensor) -> None:
        """Begin to read.

        Args:
            values: On any device; on a CPU they are not copied.
        """
        on_gpu = values.device.type == "cuda"
        self._values = values.detach().to("cpu", non_blocking=on_gpu)  # into pinned memory
        self._copied = torch.cuda.current_stream(values.device).record_event() if on_gpu else None

    def values(self) -> Tensor:
        """Wait for the values; they are on the CPU."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._values


def in_flight(readings: Iterable[T], count: int) -> Iterator[T]:
    """Give what comes in its order, with `count` more begun meanwhile, as far as there are more."""
    begun: deque[T] = deque()
    for reading in readings:
        begun.append(reading)
        if len(begun) > count:
            yield begun.popleft()
    yield from begun
