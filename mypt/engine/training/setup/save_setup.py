"""How a run saves: the memory that takes, the lock of its folder, and who writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.checkpoints.async_saver import CopyBuffers
from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.checkpoints.memory_check import check_memory, choose_saver, measure_memory
from mypt.engine.checkpoints.replacement import ensure_copies_replaceable, ensure_replaceable
from mypt.engine.checkpoints.saver import DirectSaver
from mypt.engine.checkpoints.sharded.newest_save import (
    ensure_place_for_shards,
    ensure_shards_replaceable,
)
from mypt.engine.checkpoints.sharded.sharded_saver import ShardedSaver
from mypt.engine.checkpoints.write import describe_model, weights_of
from mypt.engine.runtime.fsdp import is_sharded
from mypt.engine.training.setup.model_setup import trained_parameters
from mypt.format.errors import FormatError, Problem
from mypt.format.shards.places import shards_path
from mypt.format.shards.record import read_record
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import CHANGING, read_manifest

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from mypt.engine.checkpoints.async_saver import AsyncSaver
    from mypt.engine.optimizers.tracked import TrackedOptimizer
    from mypt.engine.runtime.training_memory import TrainingMemory
    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingState


def saves_in_parts(job: Job) -> bool:
    """Return whether each process of a run saves the part of the model that it holds."""
    return job.training.sharded_saves and is_sharded(job.model)


def plan_memory(job: Job, tracked: TrackedOptimizer) -> tuple[TrainingMemory, float]:
    """Return what this process will keep in memory, and what is left for the copy of a save."""
    trained = trained_parameters(job.model, job.training)
    saves = job.world.is_main and job.folder is not None and not saves_in_parts(job)
    memory, held = measure_memory(job.model, tracked, trained, job.world, saves=saves)
    device = next(job.model.parameters()).device
    return memory, check_memory(memory, held, device, job.world.local_size)


def make_saver(
    job: Job, tracked: TrackedOptimizer, memory: TrainingMemory, left: float
) -> AsyncSaver | DirectSaver:
    """Return how this process saves, if it does."""
    if not memory.copy:
        return DirectSaver()
    trained = trained_parameters(job.model, job.training)
    return choose_saver(
        memory,
        left,
        CopyBuffers(is_sharded(job.model)),
        weights_of(job.model),
        tracked.expect(trained),
    )


def open_checkpointer(
    job: Job, state: TrainingState, decay_step: int | None, stack: ExitStack
) -> tuple[Checkpointer | None, str | None]:
    """Lock the folder of the run's bundle.

    Returns:
        None where this process saves nothing; and what to warn of where there is no lock.
    """
    folder = job.folder
    if folder is None or not job.world.is_main:
        return None, None
    writer = stack.enter_context(open_for_writing(folder, no_lock=job.no_lock))
    _ensure_unchanged(folder, job)
    if saves_in_parts(job):
        ensure_place_for_shards(folder)
    if not job.overwrite:
        ensure_replaceable(folder, job.model.history, state, has_optimizer=True)
        ensure_shards_replaceable(folder, state)
        is_resumed = job.previous is not None
        ensure_copies_replaceable(folder, state, resumed=is_resumed, decay_step=decay_step)
    model = describe_model(job.model, state)
    known = evolve(model.config, absent=frozenset())  # this run goes by them, whatever was before
    model = evolve(model, config=known)
    checkpointer = Checkpointer(writer, model, decay_step=decay_step, no_lock=job.no_lock)
    return checkpointer, writer.warning


def _ensure_unchanged(folder: Path, job: Job) -> None:
    """Raise if another run has saved to the folder while this one read its data."""
    shards = None if job.found_shards is None else read_record(shards_path(folder))
    generation = None if shards is None else shards.generation
    if read_manifest(folder) != job.found or generation != job.found_shards:
        what = "was saved by another run since this one opened it"
        fix = "run the command again, to go on from what it saved"
        raise FormatError(Problem(str(folder), "", what, fix, kind=CHANGING))


def make_sharded(job: Job, checkpointer: Checkpointer | None) -> ShardedSaver | None:
    """Return what saves in all processes; None where the first one alone saves."""
    if job.folder is None or not saves_in_parts(job):
        return None
    return ShardedSaver(job.folder, job.world, checkpointer)
