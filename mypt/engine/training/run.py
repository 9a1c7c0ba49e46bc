"""Run a job: take the lock, open the log sinks, build the guards, train."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.engine.averaging.weight_mean import WeightMean
from mypt.engine.checkpoints.memory_check import direct_notice
from mypt.engine.checkpoints.saver import DirectSaver
from mypt.engine.checkpoints.sharded.common_disk import ensure_common_disk
from mypt.engine.evaluation.gold import build_guards, check_metric
from mypt.engine.history import History
from mypt.engine.logging import events
from mypt.engine.logging.activity import show_activity
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.runtime.out_of_memory import explain_oom, training_beside
from mypt.engine.schedules.learning_rate import LearningRate
from mypt.engine.training.preferences import check_preferences
from mypt.engine.training.setup.first_notices import mean_notices
from mypt.engine.training.setup.first_state import first_state
from mypt.engine.training.setup.log_setup import (
    all_loaders,
    announce_start,
    log_to_write,
    open_dispatcher,
    report_failure,
)
from mypt.engine.training.setup.model_setup import (
    check_freezing,
    find_document_end,
    set_up_model,
    trained_parameters,
)
from mypt.engine.training.setup.preflight import check_before_training, check_log_file
from mypt.engine.training.setup.save_setup import (
    make_saver,
    make_sharded,
    open_checkpointer,
    plan_memory,
    saves_in_parts,
)
from mypt.engine.training.trainer import Trainer
from mypt.format.shards.places import shards_path
from mypt.format.storage.files import real_path
from mypt.model.training_loss import build_loss

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingState
    from mypt.plugins.contracts.guard import GoldGuard
    from mypt.plugins.contracts.training import TokenLoss


def train(job: Job) -> TrainingState:
    """Run a job to its end, or until it is asked to stop.

    Returns:
        The state that was saved last; `is_finished` says whether the run was interrupted.

    Raises:
        LockedError: Another process trains this model, or logs to the same file.
        SaveError: A checkpoint or the log could not be written, or their file system has no locks,
            or `folder` holds what this run did not begin with; what is there is intact.
        ConfigError: An option of a guard does not fit, `gold_metric` names what is not measured,
            more layers are to be frozen than there are, the head of the model does not compute
            the loss, the log would go to a file that is something else, or preferences are compared
            with another model than the run began with.
        OutOfMemoryError: Memory does not hold what the run keeps, or ran out in it.
        DataError: The data do not fit the tokenizer.
        UsageError: Another model, or a copy of another run, is where copies of this one go.
        FormatError: Another run has saved to `folder` since it was read.
    """
    with job.world.stage("settings"):  # all have read the model before the first writes it
        parts = _build_parts(job)
        tracked, decay_step = parts.tracked, parts.rate.decay_step
        job = evolve(job, notices=(*job.notices, *mean_notices(job, parts.mean)))
        memory, left = plan_memory(job, tracked)
    silent = job.quiet or not job.world.is_main
    with ExitStack() as stack:
        state = first_state(job, tracked)
        if saves_in_parts(job) and job.folder is not None:
            ensure_common_disk(shards_path(job.folder), job.world)
        with job.world.stage("lock"):
            if job.fall_back is not None and job.world.is_main:
                job = evolve(job, found=job.fall_back.take(no_lock=job.no_lock))
            checkpointer, warning = open_checkpointer(job, state, decay_step, stack)
            if warning is not None:
                job = evolve(job, notices=(*job.notices, warning))
        with job.world.stage("checks"):
            folder = None if checkpointer is None else checkpointer.folder
            with show_activity("Checking the data, and a save", quiet=silent):
                check_before_training(
                    job.model,
                    [*all_loaders(job)],
                    state,
                    memory.state + memory.mean,
                    folder,
                    decay_step=decay_step,
                    no_lock=job.no_lock,
                    in_parts=saves_in_parts(job),
                )
            saver = make_saver(job, tracked, memory, left)
            if isinstance(saver, DirectSaver) and memory.copy:
                job = evolve(job, notices=(*job.notices, direct_notice(memory)))
                memory = evolve(memory, copy=0)
            dispatcher = open_dispatcher(job, state, parts.log, stack)
        step = [state.step]
        stack.enter_context(report_failure(dispatcher, step))
        announce_start(job, state, dispatcher)
        stack.enter_context(set_up_model(job.model, job.training, parts.document_end))
        trainer = Trainer(
            job,
            state,
            dispatcher=dispatcher,
            guards=parts.guards,
            tracked=tracked,
            mean=parts.mean,
            checkpointer=checkpointer,
            saver=saver,
            sharded=make_sharded(job, checkpointer),
            token_loss=parts.token_loss,
        )
        try:
            with explain_oom(training_beside(memory)):
                return trainer.run()
        finally:  # also where it failed: the weights are those of the last update by then
            step.append(trainer.state.step)
            job.model.history = _history_after(job, trainer, tracked)


@frozen(kw_only=True)
class _Parts:
    """What the settings of a run name, built before anything is written.

    Attributes:
        guards: Gold guards, by name.
        document_end: The id that ends a document for attention; None where it crosses over.
        token_loss: What the updates make small; None for the cross entropy.
        log: The file that this process appends lines to; None if it keeps no log.
        rate: The learning rate by step.
        mean: The mean of the weights; None where none is kept.
        tracked: The optimizer.
    """

    guards: Mapping[str, GoldGuard]
    document_end: int | None
    token_loss: TokenLoss | None
    log: Path | None
    rate: LearningRate
    mean: WeightMean | None
    tracked: TrackedOptimizer


def _build_parts(job: Job) -> _Parts:
    """Build what the settings of a run name, and check the settings as far as that does not."""
    model, training = job.model, job.training
    guards = build_guards(training.gold_guards, model.plugins.guards)
    events.check_eval_names(job.eval_loaders)
    check_metric(training, job.eval_loaders)
    check_freezing(model, training)
    log, mean = log_to_write(job), _make_mean(job)
    if log is not None:
        check_log_file(log, training, job.folder)
    lineage = job.lineage if job.previous is None else job.previous.lineage
    check_preferences(job.phases, lineage, training)
    return _Parts(
        guards=guards,
        document_end=find_document_end(model, training),
        token_loss=build_loss(model, training),
        log=log,
        rate=LearningRate.of(training, model.plugins),
        mean=mean,
        tracked=TrackedOptimizer(job.optimizer, model, training.optimizer, mean),
    )


def _make_mean(job: Job) -> WeightMean | None:
    if not job.training.ema:
        return None
    trained = trained_parameters(job.model, job.training)
    return WeightMean(job.model, trained, job.training.ema, job.means)


def _history_after(job: Job, trainer: Trainer, tracked: TrackedOptimizer) -> History:
    before, folder = job.model.history, job.folder
    return History(
        state=trainer.progress(),
        optimizer=tracked.collect(),
        path=before.path if folder is None else real_path(folder),
        digests=before.digests,
    )
