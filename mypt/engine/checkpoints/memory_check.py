"""Before the first step: whether memory holds what a run keeps, and how the run saves then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.averaging.weight_mean import WeightMean
from mypt.engine.checkpoints.async_saver import AsyncSaver
from mypt.engine.checkpoints.saver import DirectSaver
from mypt.engine.humanize import short_bytes
from mypt.engine.language_model import LanguageModel
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.runtime.free_memory import free_gpu_memory, free_memory
from mypt.engine.runtime.fsdp import is_sharded
from mypt.engine.runtime.out_of_memory import TRAINING, OutOfMemoryError, explain_oom
from mypt.engine.runtime.training_memory import count_training_memory
from mypt.engine.runtime.world import ALONE
from mypt.format.errors import Problem
from mypt.model.lora.attachment import list_frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mypt.engine.checkpoints.async_saver import CopyBuffers
    from mypt.engine.runtime.training_memory import TrainingMemory
    from mypt.engine.runtime.world import World
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer
    from mypt.plugins.manager import Plugins

_FIX = (
    "lower n_embd, n_layer or vocab_size of a new model, freeze layers with --freeze_layers, or "
    "split the model over several GPUs with --shard"
)


def measure_memory(
    model: Transformer,
    tracked: TrackedOptimizer,
    trained: Collection[torch.nn.Parameter],
    world: World,
    *,
    saves: bool,
) -> tuple[TrainingMemory, int]:
    """Count what this process will keep, and the bytes of it that it has already.

    Args:
        model: The model, on its device.
        tracked: Its optimizer, which may have a state.
        trained: The parameters that get gradients.
        world: The processes that train together.
        saves: Whether this one saves.
    """
    sharded, optimizer = is_sharded(model), tracked.optimizer
    frozen = _count_bytes(tensor for _, tensor in list_frozen(model))
    memory = count_training_memory(
        _count_bytes(model.parameters()),
        base=frozen,
        trained=_count_bytes(trained),
        state=_count_state(tracked, trained),
        optimizer=tracked.name,
        mean=tracked.mean_bytes,
        processes=world.size,
        is_sharded=sharded,
        saves=saves,
    )
    held = _count_state(tracked, {*optimizer.state})
    return memory, memory.weights + memory.base + memory.mean + held // (
        world.size if sharded else 1
    )


def expect_memory(config: GPTConfig, training: TrainingConfig, plugins: Plugins) -> TrainingMemory:
    """Count what a run of a new model will keep, in one process that saves; no weight is made.

    Raises:
        PluginError: No plugin offers its optimizer, or a part of it.
        ConfigError: The optimizer's plugin refuses the hyperparameters.
    """
    with torch.device("meta"):
        model = LanguageModel(config, plugins=plugins)
    optimizer, trained = make_optimizer(model, training), {*model.parameters()}
    mean = WeightMean(model, trained, training.ema, {}) if training.ema else None
    tracked = TrackedOptimizer(optimizer, model, training.optimizer, mean)
    return measure_memory(model, tracked, trained, ALONE, saves=True)[0]


def _count_state(tracked: TrackedOptimizer, trained: Collection[torch.Tensor]) -> int:
    """Return the bytes of what an optimizer keeps; counters and the like are not worth counting."""
    entries = tracked.expect(trained, mean=False).values()
    return _count_bytes(tensor for entry in entries for tensor in entry.values() if tensor.dim())


def _count_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Return the bytes of whole tensors, of which this process may have a part."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def check_memory(
    memory: TrainingMemory, held: int, device: torch.device, processes_here: int = 1
) -> float:
    """Compare what a process will keep with what there is.

    Args:
        memory: What it will keep.
        held: Bytes of that which it has on the device already.
        device: What it computes on.
        processes_here: How many processes of the run are on this machine.

    Returns:
        Bytes on the CPU that are left for the copy; infinite if the system does not say.

    Raises:
        OutOfMemoryError: Weights, gradients and optimizer state do not fit.
    """
    coming, on_gpu = memory.on_device - held, device.type == "cuda"
    left = free_memory(of_others=0 if on_gpu else coming * (processes_here - 1))
    free = free_gpu_memory(device) if on_gpu else left
    if coming > free:
        what = (
            f"{device} has {short_bytes(max(0, held + free))} for this run, which needs "
            f"{short_bytes(memory.on_device)} there{_and_copy(memory)}: {memory.describe()}"
        )
        raise OutOfMemoryError(Problem("", "memory", what, _FIX, kind="memory"))
    return left if on_gpu else left - coming


def _and_copy(memory: TrainingMemory) -> str:
    return f" and {short_bytes(memory.copy)} on the CPU to save" if memory.copy else ""


def choose_saver(
    memory: TrainingMemory,
    left: float,
    buffers: CopyBuffers,
    weights: Mapping[str, torch.Tensor],
    state: Mapping[str, Mapping[str, torch.Tensor]],
) -> AsyncSaver | DirectSaver:
    """Return what saves beside the training where there is room for a copy, or else at once.

    The copy is allocated here, where that can still fail.

    Args:
        memory: What the process will keep.
        left: Bytes on the CPU that are left for the copy.
        buffers: What the copy will be made to.
        weights: The weights, by name.
        state: What the optimizer will keep, as `CopyBuffers.reserve` takes it.

    Raises:
        OutOfMemoryError: There is no room, and the model is sharded: saving gathers it in the
            first process.
    """
    try:
        if memory.copy <= left:
            with explain_oom(TRAINING):
                buffers.reserve(weights, state)
            return AsyncSaver(buffers)
    except OutOfMemoryError:
        pass  # the machine counts more as free than it gives: as if there were no room
    if buffers.is_sharded:
        what = (
            f"the first process has {short_bytes(max(0, left))} on the CPU for the copy for "
            f"saving, which gathers all parts of the model and takes {short_bytes(memory.copy)}"
        )
        fix = "start the first process on a machine with more memory, or lower n_embd or n_layer"
        raise OutOfMemoryError(Problem("", "memory", what, fix, kind="memory"))
    return DirectSaver()


def direct_notice(memory: TrainingMemory) -> str:
    """Return what the user is told of a run that saves without a copy."""
    return (
        "Training will wait while a save is written: there is no room for the copy of "
        f"{short_bytes(memory.copy)} that could be written beside it"
    )
