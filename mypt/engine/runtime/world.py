"""Several processes that train one model together, as `torchrun` starts them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from attrs import field, frozen

from mypt.format.errors import ConfigError, MyptError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

# A process that waits longer than this for the others takes them for dead.
PATIENCE = timedelta(minutes=30)


class ProcessError(MyptError):
    """Another process of the run has ended."""


@frozen
class World:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: Number of this process; only rank 0 logs and saves.
        size: Number of processes.
        local_rank: Number of this process on its machine, and of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    _control: dist.ProcessGroup | None = field(default=None, repr=False)

    @property
    def is_main(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Return this process's rows of a batch that is drawn for all processes.

        Raises:
            ConfigError: There are fewer rows than processes.
        """
        if batch_size < self.size:
            what = f"is {batch_size}, but {self.size} processes share each batch"
            fix = f"make it at least {self.size}, or start fewer processes"
            raise ConfigError(Problem("", "batch_size", what, fix, kind="world.batch"))
        return slice(self.rank * batch_size // self.size, (self.rank + 1) * batch_size // self.size)

    def place(self, device: torch.device) -> torch.device:
        """Return the device of this process: a GPU of its own where they compute on GPUs.

        Raises:
            ConfigError: There are more processes than GPUs.
        """
        if device.type != "cuda" or self.size == 1:
            return device
        if self.local_rank >= torch.cuda.device_count():
            what = f"there are {torch.cuda.device_count()} GPUs here, and more processes"
            fix = "start as many processes as there are GPUs"
            raise ConfigError(Problem("", "--nproc-per-node", what, fix, kind="world.gpus"))
        own = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(own)
        return own

    def agree(self, wish: bool) -> bool:
        """Return whether `wish` holds in any process; does not wait for a GPU."""
        if self.size == 1:
            return wish
        wishes = torch.tensor([int(wish)])
        dist.all_reduce(wishes, dist.ReduceOp.MAX, group=self._control)
        return bool(wishes)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of all processes' values, float64 on the CPU."""
        values = values.double().cpu()
        if self.size > 1:
            dist.all_reduce(values, group=self._control)
        return values


ALONE = World()


@contextmanager
def join_world() -> Iterator[World]:
    """Join the processes that `torchrun` started; without it, yield a world of one.

    Raises:
        ProcessError: Another process has ended before the run did.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    local_rank = int(os.environ["LOCAL_RANK"])
    control = dist.new_group(backend="gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), local_rank, control)
        dist.barrier(control)  # a process that leaves early looks dead to the others
    except (dist.DistError, RuntimeError) as error:
        if not _is_lost_connection(error):
            raise
        what = "another process of this run has ended; what was saved last is whole"
        fix = "see what it said, and start the same command again"
        raise ProcessError(Problem("", "", what, fix, kind="world.lost")) from error
    dist.destroy_process_group()  # not after a failure: it would wait for ever


def _is_lost_connection(error: Exception) -> bool:
    """Return whether an error is a lost connection; torch has no class for most of these."""
    words = (
        *("connection closed by peer", "connection reset by peer", "timed out"),
        *("broken pipe", "socket closed"),
        *("remote process exited", "aborted"),  # of NCCL
    )
    lost = isinstance(error, dist.DistNetworkError | dist.DistStoreError)
    return lost or any(word in str(error).lower() for word in words)
