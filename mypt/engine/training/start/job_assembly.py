"""The job that becomes of what a run begins from, and what its user is told first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.averaging.weight_mean import find_means
from mypt.engine.checkpoints.copies import name_notices
from mypt.engine.checkpoints.paths import log_file_of
from mypt.engine.checkpoints.sharded.outline import is_split
from mypt.engine.config.exports import describe_exports, list_exports
from mypt.engine.humanize import short_bytes
from mypt.engine.language_model import LanguageModel, tokenizer_or_stand_in
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.runtime.devices import autocast_dtype
from mypt.engine.runtime.fsdp import shard
from mypt.engine.training.job import Job
from mypt.engine.training.start.initial_model import resumed_optimizer
from mypt.format.shards.places import holds_shards
from mypt.format.storage.generations import read_manifest
from mypt.model.lora.attachment import tie_head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.data.curriculum import Phases
    from mypt.engine.runtime.world import World
    from mypt.engine.training.start.run_inputs import Ready
    from mypt.format.documents.training import TrainingConfig


_WHOLE = (
    "Each process begins with the whole weights on the CPU, before it keeps its part: they are "
    "made of those of another model, or by parts of a plugin"
)
_MUCH_MEMORY = 100_000_000  # bytes of ids from which on a run says where they could be


def build_job(ready: Ready, folder: Path, world: World) -> Job:
    """Move the model, or this process's part of it, to its device, and put the job together.

    Args:
        ready: What the run begins from.
        folder: Where its bundle goes.
        world: The processes that train together.
    """
    start, run, opened = ready.start, ready.start.run, ready.start.opened
    model, how = start.model, (start.device, autocast_dtype(start.device, run.training))
    notices = start.notices
    if start.outline is not None:
        model = start.outline.split(world, *how)
    elif is_split(run.training, world):
        model = shard(model, world, *how)
        notices = (*notices, _WHOLE)
    else:
        model = model.to(start.device)
        tie_head(model)
    found, found_shards = None if opened is None else opened.manifest, None
    if opened is not None and holds_shards(opened.path):
        found_shards = None if opened.manifest is None else opened.manifest.generation
        found = read_manifest(folder)
    return Job(
        model=model,
        optimizer=make_optimizer(model, run.training)
        if opened is None
        else resumed_optimizer(opened, model, run.training),
        means={} if opened is None else find_means(opened.optimizer()),
        phases=ready.phases,
        training=run.training,
        previous=run.previous,
        doubts=start.doubts,
        lineage=start.lineage,
        again=start.again,
        folder=folder,
        found=found,
        found_shards=found_shards,
        log_file=log_file_of(run.training, folder.name),
        eval_loaders=ready.eval_loaders,
        notices=(
            *notices,
            *run.notices,
            *_data_notices(ready.phases, model, run.training),
            *name_notices(folder, None if opened is None else opened.training_state),
            *(_export_notices(model) if opened is None else ()),
        ),
        world=world,
    )


def _export_notices(model: LanguageModel) -> Iterator[str]:
    """Yield which programs a new model can be exported to, before it is trained."""
    return describe_exports(list_exports(model.config.without_adapter(), model.plugins))


def _data_notices(phases: Phases, model: LanguageModel, training: TrainingConfig) -> Iterator[str]:
    data, tokenizer = phases.fingerprint, tokenizer_or_stand_in(model)
    device = next(model.parameters()).device
    there = sum(len(phase.loader.splits["train"]) for phase in phases.phases)
    train = _count_of(data.train_tokens, there)
    val = _count_of(data.val_tokens, len(phases.held_out.splits["val"]))
    yield (
        f"Data: {data.source}, {train} tokens to train on and {val} "
        f"to validate on ({tokenizer.token_kind}, {tokenizer.n_vocab} ids); device: {device}"
    )
    for loader in (phase.loader for phase in phases.phases):
        if loader.held_bytes >= _MUCH_MEMORY:
            yield (
                f"The ids of {loader.fingerprint.source} take {short_bytes(loader.held_bytes)} of "
                "memory; those of a data set by `mypt data prepare` (--dataset_dir) take none"
            )
    if len(phases.phases) > 1:
        last, begins = phases.phases[-1], phases.phases[-2].until_iter
        if training.val_file is None:
            yield f"The validation loss is measured on the data of the last phase, {last.name}"
        if begins is not None and begins >= training.max_iters:
            which = "That phase" if training.val_file is None else last.name
            ends = f"the run ends at {training.max_iters}"
            yield f"{which} is never trained: it begins at {begins}, {ends}"


def _count_of(drawn: int, there: int) -> str:
    """Return how many tokens can be drawn, and of how many where some never can."""
    return f"{drawn:,}" if drawn == there else f"{drawn:,} of {there:,}"
