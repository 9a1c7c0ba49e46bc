"""Turn an out-of-memory error into one line: what was being done, and which setting to lower."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mypt.engine.humanize import short_bytes
from mypt.format.errors import MyptError, PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.engine.runtime.training_memory import TrainingMemory

BUILDING = ("building the model", "lower n_embd, n_layer or block_size")
LOADING = ("loading the model", "choose another device, or a smaller model")
GENERATING = ("generating", "continue fewer or shorter texts at once")
SCORING = ("scoring the text", "choose another device, or a smaller model")
TRAINING = (
    "training",
    "lower batch_size and raise grad_accum_steps, lower the block_size of a new model, or give "
    "--activation_checkpointing; what was saved last is whole",
)
# What errors say for which torch has no class: of the CPU, of MPS, of CUDA's libraries and driver,
# and of a size beyond 64 bits.
_REFUSALS = (
    "DefaultCPUAllocator",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "Storage size calculation overflowed",
)
_SIZE = re.compile(r"allocate ([0-9]+(?:\.[0-9]+)?)\.? ?(bytes|[KMGTPE]i?B)")


class OutOfMemoryError(MyptError):
    """The memory of the device is too small."""


def training_beside(memory: TrainingMemory) -> tuple[str, str]:
    """Return the work of the updates of a run, with what the run keeps meanwhile."""
    doing, fix = TRAINING
    return f"{doing} beside {memory.describe()}", fix


@contextmanager
def explain_oom(work: tuple[str, str]) -> Iterator[None]:
    """Turn an out-of-memory error into an `OutOfMemoryError`; let any other error pass.

    Args:
        work: What is being done, and what to do where it does not fit.

    Raises:
        OutOfMemoryError: An allocation failed.
    """
    try:
        yield
    except (MemoryError, RuntimeError, PluginError) as error:
        failed = error.__cause__ if isinstance(error, PluginError) else error  # no plugin's fault
        if not isinstance(failed, (MemoryError, RuntimeError)) or not _is_out_of_memory(failed):
            raise
        doing, fix = work
        what = f"ran out while {doing}{_format_request(str(failed))}"
        raise OutOfMemoryError(Problem("", "memory", what, fix, kind="memory")) from error


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    torch = sys.modules.get("torch")  # without it, none of its errors can have been raised
    if isinstance(error, MemoryError):
        return True
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return any(word in str(error) for word in _REFUSALS)


def _format_request(said: str) -> str:
    found = _SIZE.search(said)
    if found is None:
        return ""
    amount, unit = found.groups()
    size = short_bytes(float(amount)) if unit == "bytes" else f"{amount} {unit}"
    return f", which asked for {size} at once"
