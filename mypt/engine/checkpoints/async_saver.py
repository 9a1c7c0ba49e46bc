"""Save asynchronously: training waits for a copy of the tensors, a thread writes them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen

from mypt.engine.checkpoints.saver import Copy
from mypt.engine.runtime.fsdp import full_tensor, place_of
from mypt.engine.runtime.memory_blocks import allocate_like
from mypt.format.errors import MyptError
from mypt.format.optimizers.declaration import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.engine.checkpoints.saver import OptimizerState, Part


@frozen
class CopyBuffers:
    """Buffers that are reused for every copy; new memory would cost more than the copy.

    Attributes:
        is_sharded: Whether each process holds only its part of the tensors.
    """

    is_sharded: bool = False
    _kept: dict[tuple[str, object], torch.Tensor] = field(factory=dict)

    def reserve(
        self,
        weights: Mapping[str, torch.Tensor],
        state: Mapping[str, Mapping[str, torch.Tensor]],
    ) -> None:
        """Allocate what copies will need, before there is anything to copy.

        Args:
            weights: As `copy` takes them.
            state: The tensors that the optimizer will keep, by name, of each parameter by name;
                values and devices do not matter.

        Raises:
            RuntimeError: There is not enough memory; or an error of torch that says so.
        """
        likes: dict[tuple[str, object], torch.Tensor] = {}
        places = set()
        for name, tensor in weights.items():
            if self._place(tensor) not in places:  # not tied
                likes[name, ""] = _shape_of(tensor)
                places.add(self._place(tensor))
        for name, entry in state.items():
            likes |= {(key, name): _shape_of(tensor) for key, tensor in entry.items()}
        pinned = any(tensor.device.type == "cuda" for tensor in weights.values())
        self._kept.update(allocate_like(likes, pinned=pinned))

    def copy(self, weights: Mapping[str, torch.Tensor], optimizer: OptimizerState) -> Copy:
        """Copy a model; the copy made before is overwritten."""
        places: dict[tuple[Any, ...], torch.Tensor] = {}
        copied = Copy(
            weights={name: self._copy((name, ""), t, places) for name, t in weights.items()},
            optimizer={
                **optimizer,
                "state": {
                    name: {
                        key: value if is_number(value) else self._copy((key, name), value, places)
                        for key, value in entry.items()
                    }
                    for name, entry in optimizer["state"].items()
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
        place, tensor = self._place(tensor), tensor.detach()
        if self.is_sharded:  # of a tied one as well: the other processes do the same
            tensor = full_tensor(tensor)
        if place in places:  # tied
            return places[place]
        if key not in self._kept:
            pinned = tensor.device.type == "cuda"
            self._kept[key] = torch.empty_like(tensor, device="cpu", pin_memory=pinned)
        places[place] = self._kept[key].copy_(tensor, non_blocking=True)
        return places[place]

    def _place(self, tensor: torch.Tensor) -> tuple[Any, ...]:
        """Return where a tensor lies; tied ones lie in the same place."""
        address = place_of(tensor) if self.is_sharded else tensor.data_ptr()
        return (tensor.device, address, tensor.dtype, tensor.shape)


def _shape_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without memory, of the whole shape of one that may be sharded."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


class AsyncSaver:
    """Writes one save at a time in a thread, from a copy.

    Between two parts of a save this waits for the next call of any method, which in a run is the
    next step; a failed write is raised there.
    """

    def __init__(self, buffers: CopyBuffers) -> None:
        """Start with nothing to write.

        Args:
            buffers: What copies are made to.
        """
        self._buffers = buffers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mypt-saver")
        # What is left of the save, from the part that is being written on.
        self._left: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._writing: Future[None] | None = None

    def save(
        self, weights: Mapping[str, torch.Tensor], optimizer: OptimizerState, *parts: Part
    ) -> None:
        """Copy a model and start writing it; waits for a save that is still being written."""
        self.wait()
        copy = self._buffers.copy(weights, optimizer)
        self._left = [(partial(part.write, copy), part.then) for part in parts]
        self._start_next()

    def check(self) -> None:
        """Go on with a save whose part has ended."""
        while self._writing is not None and self._writing.done():
            self._finish_part()

    def wait(self) -> None:
        """Wait until everything is written."""
        while self._writing is not None:
            self._finish_part()

    def close(self) -> None:
        """Finish what is being written, also when the run has failed."""
        with suppress(MyptError):  # the run's own error is the one to raise
            self.wait()
        self._thread.shutdown()

    def _start_next(self) -> None:
        if self._left:
            write, _ = self._left[0]
            self._writing = self._thread.submit(write)

    def _finish_part(self) -> None:
        """Wait for the part that is being written, and start the next one."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
            _, then = self._left.pop(0)
            then()
            self._start_next()
