"""Several processes that train one model together, as `torchrun` starts them."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from attrs import field, frozen
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mypt.format.errors import ConfigError, MyptError, Problem, UsageError
from mypt.plugins.isolation import summarize_error

if TYPE_CHECKING:
    from collections.abc import Iterator

# A process that waits longer than this for the others takes them for dead.
PATIENCE = timedelta(minutes=30)
# How often a waiting process polls the store for the failure of another one.
_POLL_S = 0.05
# How long the main process, which may host the store, waits for the others to read it, and how long
# they wait for it to say what all have found.
_LINGER_S = 5.0
_WRONG_USAGE = 2  # exit code


class ProcessError(MyptError):
    """Another process of the run has ended, or has begun from something else."""


class CommonError(UsageError):
    """Something that every process of a run finds wrong alike, so that only the first says it."""


@frozen
class World:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: Number of this process; only rank 0 logs and saves.
        size: Number of processes.
        local_rank: Number of this process on its machine, and of its GPU.
        local_size: Number of processes on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    _control: dist.ProcessGroup | None = field(default=None, repr=False)
    _store: Store | None = field(default=None, repr=False)
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    @property
    def control(self) -> dist.ProcessGroup | None:
        """The group in which the CPUs of all processes talk; None in a world of one."""
        return self._control

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

    def hear_first(self, number: int) -> int:
        """Return the number that the first process says; all of them have to call this."""
        return int(self.total(torch.tensor(number if self.is_main else 0)))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Do something that may fail in one process alone; none goes on before all have done it.

        Args:
            name: Its name, another one for each stage of a run.

        Raises:
            ProcessError: Another process has failed in it; the error has what that one said.
            CommonError: In the main process, all have failed in it alike.
        """
        if self._store is None:
            yield
            return
        try:
            yield
        except CommonError:
            with suppress(dist.DistError, RuntimeError):  # its own error matters more
                self._leave(self._store, name)  # one may still have to read what was before
            if self.is_main:
                raise
            time.sleep(_LINGER_S)  # a launcher ends the others as soon as one has ended
            raise SystemExit(_WRONG_USAGE) from None
        except BaseException as error:  # also Ctrl-C: whatever it is, the others wait
            if not _is_lost_connection(error):  # else another process has failed before
                self._announce(self._store, name, error)
            raise
        done = dist.barrier(self._control, async_op=True)  # fails where a process has died
        while not done.is_completed():
            self._check_failure(self._store, name)
            time.sleep(_POLL_S)
        self._check_failure(self._store, name)
        done.wait()

    def exchange(self, name: str, said: str) -> list[str]:
        """Return what each process says, by rank.

        Args:
            name: Name of the exchange, another one for each exchange and stage of a run.
            said: What this one says.

        Raises:
            ProcessError: Another process has ended.
        """
        if self._store is None:
            return [said]
        with self.stage(name):
            self._store.set(f"{name}/{self.rank}", said)
        keys = [f"{name}/{rank}" for rank in range(self.size)]
        heard = [value.decode() for value in self._store.multi_get(keys)]
        self._leave(self._store, name)
        return heard

    def _announce(self, store: Store, name: str, error: BaseException) -> None:
        """Let the others know the error of this process, which is about to end."""
        said = error.problems[0] if isinstance(error, MyptError) else summarize_error(error)
        with suppress(dist.DistError, RuntimeError):  # its own error matters more
            store.compare_set(f"{name}/failure", "", f"{self} stopped: {said}")
            self._leave(store, name)

    def _check_failure(self, store: Store, name: str) -> None:
        if store.check([f"{name}/failure"]):
            what = store.get(f"{name}/failure").decode()
            self._leave(store, name)
            fix = "fix that, and start the same command again"
            raise ProcessError(Problem("", "", what, fix, kind="world.stage"))

    def _leave(self, store: Store, name: str) -> None:
        """Wait in the main process, which may keep the store, until the others have read it."""
        if not self.is_main:
            store.add(f"{name}/left", 1)
            return
        until = time.monotonic() + _LINGER_S
        while store.add(f"{name}/left", 0) < self.size - 1 and time.monotonic() < until:
            time.sleep(_POLL_S)

    def __str__(self) -> str:
        """Return the name of this process for messages."""
        return f"process {self.rank} on {socket.gethostname()}"

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
    world = _make_world()
    try:
        yield world
        world.agree(False)  # a process that leaves early looks dead to the others
    except (dist.DistError, RuntimeError) as error:
        if not _is_lost_connection(error):
            raise
        what = "another process of this run has ended; what was saved last is whole"
        fix = "see what it said, and start the same command again"
        raise ProcessError(Problem("", "", what, fix, kind="world.lost")) from error
    dist.destroy_process_group()  # not after a failure: it would wait for ever


def launched_as() -> tuple[int, int]:
    """Return the rank of this process and the number of all, as torchrun has started them."""
    if not dist.is_torchelastic_launched():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def _make_world() -> World:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    local_rank = int(os.environ["LOCAL_RANK"])
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        kept, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        store = PrefixStore(_agree_on_start(kept, rank, size), kept)
        own = PrefixStore("torch", store)
        dist.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=PATIENCE)
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
    except dist.DistError as error:
        what = f"cannot reach the other processes of this run ({summarize_error(error)})"
        fix = "see whether one has ended, and check --master-addr and --master-port"
        raise ProcessError(Problem("", "", what, fix, kind="world.join")) from error
    return World(rank, size, local_rank, control, PrefixStore("mypt", store), local_size)


def _agree_on_start(store: Store, rank: int, size: int) -> str:
    """Return a name that the processes of this start have in common, and no earlier ones had.

    torchrun keeps its store where it starts processes again (`--max-restarts`), and what the ones
    before left there must not be taken for what these write. So the first process names the start,
    and tells each of the others, which names itself anew as well, that it is the living one.

    Raises:
        DistStoreError: Another process is not there.
    """
    own = secrets.token_hex(8)
    if rank == 0:
        store.set("start", own)
        for other in range(1, size):
            its_name = store.get(f"{own}/{other}").decode()
            store.set(f"{own}/{other}/{its_name}", "")
        return own
    until = time.monotonic() + PATIENCE.total_seconds()
    while time.monotonic() < until:
        start = store.get("start").decode()
        store.set(f"{start}/{rank}", own)
        if store.check([f"{start}/{rank}/{own}"]):
            return start
        time.sleep(_POLL_S)
    message = "the first process does not answer"
    raise dist.DistStoreError(message)


def _is_lost_connection(error: BaseException) -> bool:
    """Return whether an error is a lost connection; torch has no class for most of these."""
    if isinstance(error, MyptError):
        return False
    words = (
        *("connection closed by peer", "connection reset by peer", "timed out"),
        *("broken pipe", "socket closed"),
        *("remote process exited", "aborted"),  # of NCCL
    )
    lost = isinstance(error, dist.DistNetworkError | dist.DistStoreError)
    return lost or any(word in str(error).lower() for word in words)
