"""`GPT.fit`: training as a library call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.data.curriculum import Phases
from mypt.engine.averaging.weight_mean import find_means
from mypt.engine.checkpoints.adapters.settings import settle_settings
from mypt.engine.checkpoints.copies import name_notices
from mypt.engine.checkpoints.origin import find_optimizer, lineage_from
from mypt.engine.checkpoints.paths import log_file_of
from mypt.engine.checkpoints.sharded.newest_save import check_sharded_saves
from mypt.engine.checkpoints.write import weights_of
from mypt.engine.config.overrides import inherited_training, override_training
from mypt.engine.history import bare_state
from mypt.engine.optimizers.adamw import build_adamw
from mypt.engine.optimizers.build import continue_optimizer, lend_groups, make_optimizer
from mypt.engine.optimizers.given import (
    check_optimizer,
    describe_optimizer,
    describe_unsaved,
    is_adamw,
    merge_described,
)
from mypt.engine.optimizers.peaks import scale_peaks
from mypt.engine.runtime.out_of_memory import TRAINING, explain_oom
from mypt.engine.schedules.learning_rate import check_learning_rate
from mypt.engine.stopping.ends import is_finished, list_ends, take_settings
from mypt.engine.training.job import Job
from mypt.engine.training.run import train
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, Problem
from mypt.format.optimizers.adamw import NAME as ADAMW
from mypt.format.optimizers.document import optimizer_document
from mypt.format.rules.plugin_settings import GUARDS, SINKS
from mypt.format.storage.files import ensure_basename, real_path
from mypt.format.storage.generations import read_manifest
from mypt.plugins.requirements import check_run
from mypt.plugins.selection import check_choices, check_given

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.callbacks import Callbacks
    from mypt.engine.language_model import LanguageModel
    from mypt.engine.optimizers.given import Described
    from mypt.format.documents.training import Ancestor, TrainingState


_LOGGER = logging.getLogger("mypt")


@frozen(kw_only=True)
class _Beginning:
    """What a run begins with.

    Attributes:
        previous: The state to go on from; None for a run of its own.
        doubts: Why that may not be exact.
        lineage: What the weights of a run of its own came from.
        notices: What to report to the user.
    """

    previous: TrainingState | None = None
    doubts: tuple[str, ...] = ()
    lineage: tuple[Ancestor, ...] = ()
    notices: tuple[str, ...] = ()


@explain_oom(TRAINING)
def fit(
    model: LanguageModel,
    loader: GPTDataLoader,
    optimizer: torch.optim.Optimizer | str | None,
    given: Mapping[str, Any],
    *,
    checkpoint_dir: Path | None,
    start_step: int | None,
    eval_loaders: Mapping[str, GPTDataLoader],
    overwrite: bool,
    no_lock: bool,
    quiet: bool,
    callbacks: Callbacks[Any],
) -> TrainingState:
    """Train a model; see `GPT.fit`.

    The model goes on from its own state, with its progress and the gold guards' memory, as the
    command line does. It is in evaluation mode afterwards.
    """
    _check_order(given, loader)
    if checkpoint_dir is not None:
        checkpoint_dir = ensure_basename(checkpoint_dir)  # copies lie beside it, and have its name
    begin, described = _find_beginning(model, checkpoint_dir, start_step), None
    previous = begin.previous
    if isinstance(optimizer, str):
        given, optimizer = {**given, "optimizer": optimizer}, None
    if optimizer is not None:
        saved = TrainingConfig() if previous is None else inherited_training(previous)
        is_saved = checkpoint_dir is not None
        described = _describe(optimizer, model, given, saved, is_saved=is_saved)
        given = merge_described(described, given, "optimizer")
    training = settle_settings(model.config.adapter, _settle_training(given, previous, loader))
    if previous is not None:
        check_run(previous, training, model.needs, model.plugins, model.opened_from)
    for field in given.keys() & {GUARDS, SINKS}:
        check_given(field, getattr(training, field), model.plugins)
    check_choices(training, model.plugins)
    check_sharded_saves(training)
    check_learning_rate(training, model.plugins)
    done = None if previous is None else take_settings(previous, training)
    if previous is not None and done is not None and _is_done(model, checkpoint_dir, done):
        reached = "; ".join(end.what for end in list_ends(done))
        _LOGGER.warning("nothing to train: the model is at step %d, and %s", done.step, reached)
        return previous
    job = Job(
        model=model,
        optimizer=_make_optimizer(model, previous, training) if optimizer is None else optimizer,
        phases=Phases.single(loader),
        training=training,
        previous=previous,
        doubts=begin.doubts,
        lineage=begin.lineage,
        eval_loaders=eval_loaders,
        notices=begin.notices,
        overwrite=overwrite,
        no_lock=no_lock,
        quiet=quiet,
        callbacks=callbacks,
        means=_find_means(model, previous),
    )
    if checkpoint_dir is not None:
        job = evolve(
            job,
            folder=checkpoint_dir,
            found=read_manifest(checkpoint_dir),
            log_file=log_file_of(training, checkpoint_dir.name),
            notices=(*begin.notices, *name_notices(checkpoint_dir, previous)),
        )
    state = _train_with(job, described)
    model.eval()
    return state


def _settle_training(
    given: Mapping[str, Any], previous: TrainingState | None, loader: GPTDataLoader
) -> TrainingConfig:
    """Return the hyperparameters of a run: those that are given, then those of before.

    Raises:
        ConfigError: One is unknown or out of range, or the model is beyond `max_iters`.
    """
    saved = TrainingConfig() if previous is None else inherited_training(previous)
    step = 0 if previous is None else previous.step
    training = evolve(
        override_training(given, saved),
        start_step=step,
        sampling=loader.sampling,
        packing=loader.packing,
    )
    if training.max_iters < step:
        what = f"is {training.max_iters}, but this model is at step {step} already"
        fix = "count from its first update, or pass start_step=0 for a run of its own"
        raise ConfigError(Problem("", "max_iters", what, fix, kind="training.done"))
    return training


def _train_with(job: Job, described: Described | None) -> TrainingState:
    """Train with groups of parameters that are the run's; the caller's come back unchanged.

    Args:
        job: The run.
        described: The hyperparameters of the caller's optimizer; None for one of mypt's.
    """
    groups = [dict(group) for group in job.optimizer.param_groups]
    if described is not None and described.own is not None:
        named = dict(job.model.named_parameters())
        groups = build_adamw(named, job.training, described.own).param_groups
    try:
        with lend_groups(job.optimizer, groups):
            if described is not None and job.training.optimizer == ADAMW:
                scale_peaks(job.optimizer, job.training.learning_rate)
            return train(job)
    finally:
        if described is not None and not described.is_saveable:  # nothing could go on from it
            nothing = optimizer_document(job.training.optimizer, {}, ())
            job.model.history = evolve(job.model.history, optimizer=nothing)


def _describe(
    optimizer: torch.optim.Optimizer,
    model: LanguageModel,
    given: Mapping[str, Any],
    saved: TrainingConfig,
    *,
    is_saved: bool,
) -> Described:
    """Return the hyperparameters of the caller's optimizer.

    Raises:
        ConfigError: It is neither an AdamW of the model nor one that a factory builds, or the run
            is saved and a bundle cannot hold its groups.
    """
    check_optimizer(optimizer, model)
    try:
        return describe_optimizer(optimizer, model, given, saved)
    except ConfigError:
        if is_saved or not is_adamw(optimizer):
            raise
        return describe_unsaved(optimizer)


def _check_order(given: Mapping[str, Any], loader: GPTDataLoader) -> None:
    """Raise if other rows are asked for than the loader's, which are what the model learns.

    Raises:
        ConfigError: They differ.
    """
    for name in ("sampling", "packing"):
        has = getattr(loader, name)
        if given.get(name, has) != has:
            what = f"is {given[name]!r}, but the loader has {has!r}"
            raise ConfigError(Problem("", name, what, "give it to GPTDataLoader instead"))


def _find_beginning(
    model: LanguageModel, folder: Path | None, start_step: int | None
) -> _Beginning:
    """Return what a run begins with: the model's own state, unless the user says otherwise.

    Raises:
        ConfigError: The model has been trained for more updates than the user says.
    """
    history, state = model.history, model.history.state_in(folder)
    if state is not None and start_step in (None, state.step):
        notices = () if state is history.state else (f"Gold begins anew, beside {folder}",)
        return _Beginning(previous=state, doubts=history.doubts, notices=notices)
    if not start_step:
        return _Beginning(lineage=lineage_from(history, weights_of(model)))
    if state is None:
        return _Beginning(previous=bare_state(start_step), doubts=history.doubts)
    if start_step < state.step:
        what = f"is {start_step}, but this model has been trained for {state.step} updates"
        fix = "leave it out to go on from there, or pass 0 for a run of its own with these weights"
        raise ConfigError(Problem("", "start_step", what, fix, kind="training.step"))
    doubt = f"start_step is {start_step}, but the model was known to be at step {state.step}"
    previous = evolve(state, step=start_step, gold=None, epoch=None, data=None, environment=None)
    return _Beginning(previous=previous, doubts=(*history.doubts, doubt))


def _is_done(model: LanguageModel, folder: Path | None, state: TrainingState) -> bool:
    """Return whether there is nothing to train, nor to save where it is not yet."""
    is_there = folder is None or real_path(folder) == model.history.path
    return is_there and is_finished(state)


def _make_optimizer(
    model: LanguageModel, previous: TrainingState | None, training: TrainingConfig
) -> torch.optim.Optimizer:
    """Build the optimizer of a run, which goes on from the moments of the model where it can."""
    if previous is None or previous.step != model.history.step:
        return make_optimizer(model, training)
    return continue_optimizer(model, training, find_optimizer(model.history, model.plugins))


def _find_means(model: LanguageModel, previous: TrainingState | None) -> Mapping[str, torch.Tensor]:
    """Return the mean of each parameter that a run goes on from, by name, where there is one."""
    if previous is None or previous.step != model.history.step:
        return {}
    return find_means(find_optimizer(model.history, model.plugins))
