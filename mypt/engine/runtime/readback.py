"""Read what a GPU computed without waiting for the work queued after it."""

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

    `item` and `tolist` of a tensor on a GPU wait for all work queued by then. A readback starts
    the copy where it is made, and waits only for the work before that.
    """

    def __init__(self, values: Tensor) -> None:
        """Start the copy.

        Args:
            values: On any device; values on a CPU are not copied.
        """
        on_gpu = values.device.type == "cuda"
        self._values = values.detach().to("cpu", non_blocking=on_gpu)  # into pinned memory
        self._copied = torch.cuda.current_stream(values.device).record_event() if on_gpu else None

    def values(self) -> Tensor:
        """Wait for the values and return them, on the CPU."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._values


def in_flight(readings: Iterable[T], count: int) -> Iterator[T]:
    """Yield items in order while keeping up to `count` more in flight."""
    begun: deque[T] = deque()
    for reading in readings:
        begun.append(reading)
        if len(begun) > count:
            yield begun.popleft()
    yield from begun
