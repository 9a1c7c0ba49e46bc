"""Save asynchronously: training waits for a copy of the tensors, a thread writes them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen

from mypt.engine.runtime.fsdp import address_of, full_tensor
from mypt.format.errors import MyptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@frozen(kw_only=True)
class Copy:
    """Weights and optimizer state at one step, on the CPU.

    Attributes:
        weights: By name; tied ones share their memory.
        optimizer: AdamW state dict.
    """

    weights: Mapping[str, torch.Tensor]
    optimizer: OptimizerState


@frozen
class CopyBuffers:
    """Buffers that are reused for every copy; new memory would cost more than the copy.

    Attributes:
        is_sharded: Whether each process holds only its part of the tensors.
    """

    is_sharded: bool = False
    _kept: dict[tuple[str, object], torch.Tensor] = field(factory=dict)

    def copy(self, weights: Mapping[str, torch.Tensor], optimizer: OptimizerState) -> Copy:
        """Copy a model; the copy made before is overwritten."""
        places: dict[tuple[Any, ...], torch.Tensor] = {}
        copied = Copy(
            weights={name: self._copy((name, ""), t, places) for name, t in weights.items()},
            optimizer={
                **optimizer,
                "state": {
                    index: {
                        name: self._copy((name, index), value, places)
                        for name, value in moments.items()
                    }
                    for index, moments in optimizer["state"].items()
                },
            },
        )
        for device in {device for device, *_ in places if device.type == "cuda"}:
            torch.cuda.synchronize(device)
        return copied

    def _copy(
        self,
        key: tuple[str, object],
        tensor: torch.Tensor,
        places: dict[tuple[Any, ...], torch.Tensor],
    ) -> torch.Tensor:
        address = address_of(tensor) if self.is_sharded else tensor.data_ptr()
        place = (tensor.device, address, tensor.dtype, tensor.shape)
        tensor = tensor.detach()
        if self.is_sharded:  # of a tied one as well: the other processes do the same
            tensor = full_tensor(tensor)
        if place in places:  # tied
            return places[place]
        if key not in self._kept:
            pinned = tensor.device.type == "cuda"
            self._kept[key] = torch.empty_like(tensor, device="cpu", pin_memory=pinned)
        places[place] = self._kept[key].copy_(tensor, non_blocking=True)
        return places[place]


class AsyncSaver:
    """Writes one save at a time in a thread.

    A failed write is raised at the next call of any method, which in a run is the next step.
    """

    def __init__(self, *, is_sharded: bool = False) -> None:
        """Start with nothing to write.

        Args:
            is_sharded: Whether each process holds only its part of the tensors.
        """
        self._buffers = CopyBuffers(is_sharded)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mypt-saver")
        self._writing: Future[None] | None = None

    def save(
        self,
        weights: Mapping[str, torch.Tensor],
        optimizer: OptimizerState,
        write: Callable[[Copy], None],
    ) -> None:
        """Copy a model and start writing it; waits for a save that is still being written.

        Args:
            weights: Tensors by name, on any device.
            optimizer: AdamW state dict.
            write: Writes the copy, in another thread.

        Raises:
            SaveError: The save before could not be written.
        """
        self.wait()
        copy = self._buffers.copy(weights, optimizer)
        self._writing = self._thread.submit(write, copy)

    def check(self) -> None:
        """Raise the error of a save that has ended.

        Raises:
            SaveError: It could not be written; the one before it is whole.
        """
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            SaveError: It could not be; the one before it is whole.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Finish what is being written, also when the run has failed."""
        with suppress(MyptError):  # the run's own error is the one to raise
            self.wait()
        self._thread.shutdown()


OptimizerState = dict[str, Any]
