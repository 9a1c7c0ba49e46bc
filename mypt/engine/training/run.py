"""Run a job: take the lock, open the log sinks, build the guards, train."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.engine.averaging.weight_mean import WeightMean
from mypt.engine.checkpoints.async_saver import CopyBuffers
from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.checkpoints.copies import find_copy, find_snapshots
from mypt.engine.checkpoints.memory_check import (
    check_memory,
    choose_saver,
    direct_notice,
    measure_memory,
)
from mypt.engine.checkpoints.paths import log_file_beside
from mypt.engine.checkpoints.replacement import ensure_copies_replaceable, ensure_replaceable
from mypt.engine.checkpoints.saver import DirectSaver
from mypt.engine.checkpoints.sharded.common_disk import ensure_common_disk
from mypt.engine.checkpoints.sharded.newest_save import (
    ensure_place_for_shards,
    ensure_shards_replaceable,
)
from mypt.engine.checkpoints.sharded.sharded_saver import ShardedSaver
from mypt.engine.checkpoints.write import describe_model, weights_of
from mypt.engine.evaluation.gold import (
    build_guards,
    check_metric,
    explain_incomparable,
    explain_other_losses,
)
from mypt.engine.history import History, begin_or_continue, follow_runs
from mypt.engine.logging import events, jsonl, reports
from mypt.engine.logging.activity import show_activity
from mypt.engine.logging.dispatch import EventDispatcher, open_sinks
from mypt.engine.logging.log_file import end_notices, find_end, lock_log
from mypt.engine.optimizers.peaks import peak_of
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.runtime.fsdp import is_sharded
from mypt.engine.runtime.out_of_memory import explain_oom, training_beside
from mypt.engine.schedules.batch_size import describe_tokens, list_unused_stretches
from mypt.engine.schedules.change import SCHEDULE_FIELDS, explain_change, is_past_unchanged
from mypt.engine.schedules.learning_rate import LearningRate, explain_unused_settings
from mypt.engine.schedules.weight_decay import explain_no_decay, has_decay
from mypt.engine.training.model_setup import (
    check_freezing,
    find_document_end,
    set_up_model,
    trained_parameters,
)
from mypt.engine.training.preferences import check_preferences, explain_unused_beta
from mypt.engine.training.preflight import check_before_training, check_log_file
from mypt.engine.training.reproducibility import (
    environment_of,
    inexact_reasons,
    list_differences,
    provenance_of,
)
from mypt.engine.training.trainer import Trainer
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.documents.training import TrainingState
from mypt.format.errors import FormatError, LockedError, MyptError, Problem
from mypt.format.rules.plugin_settings import SINKS
from mypt.format.shards.record import read_record, shards_path
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.generations import CHANGING, read_manifest
from mypt.format.storage.recorded_paths import record_text
from mypt.model.training_loss import build_loss
from mypt.plugins.contracts.sink import RunInfo
from mypt.plugins.selection import select_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.checkpoints.async_saver import AsyncSaver
    from mypt.engine.runtime.training_memory import TrainingMemory
    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.guard import GoldGuard
    from mypt.plugins.contracts.training import TokenLoss


_COMPILING = "Compiling the layers: the first batches take longer, a minute or more"


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
        job = evolve(job, notices=(*job.notices, *_mean_notices(job, parts.mean)))
        memory, left = _check_memory(job, tracked)
    silent = job.quiet or not job.world.is_main
    with ExitStack() as stack:
        state = _first_state(job, tracked)
        if saves_in_parts(job) and job.folder is not None:
            ensure_common_disk(shards_path(job.folder), job.world)
        with job.world.stage("lock"):
            if job.fall_back is not None and job.world.is_main:
                job = evolve(job, found=job.fall_back.take(no_lock=job.no_lock))
            checkpointer, warning = _open_checkpointer(job, state, decay_step, stack)
            if warning is not None:
                job = evolve(job, notices=(*job.notices, warning))
        with job.world.stage("checks"):
            folder = None if checkpointer is None else checkpointer.folder
            with show_activity("Checking the data, and a save", quiet=silent):
                check_before_training(
                    job.model,
                    [*_all_loaders(job)],
                    state,
                    memory.state + memory.mean,
                    folder,
                    decay_step=decay_step,
                    no_lock=job.no_lock,
                    in_parts=saves_in_parts(job),
                )
            saver = _choose_saver(job, tracked, memory, left)
            if isinstance(saver, DirectSaver) and memory.copy:
                job = evolve(job, notices=(*job.notices, direct_notice(memory)))
                memory = evolve(memory, copy=0)
            dispatcher = _open_dispatcher(job, state, parts.log, stack)
        step = [state.step]
        stack.enter_context(_report_failure(dispatcher, step))
        _announce_start(job, state, dispatcher)
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
            sharded=_make_sharded(job, checkpointer),
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
    log, mean = _log_to_write(job), _make_mean(job)
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


def _mean_notices(job: Job, mean: WeightMean | None) -> Iterator[str]:
    """Yield how the mean of the weights differs from that of a run that had it throughout."""
    previous = job.previous
    if previous is None or previous.step == 0:
        return
    if mean is None:
        if job.means:
            yield "The mean of the weights (ema) is dropped"
        return
    if mean.begun:
        of = "" if len(mean.begun) == len(mean.values) else f" of {len(mean.begun)} parameters"
        where = f"begins at step {previous.step}, with the weights as they are"
        yield f"The mean{of or ' of the weights'} {where} (ema {mean.decay:g})"
    before = previous.training_config.ema
    if before not in (0, mean.decay):
        yield f"The mean of the weights goes on with ema {mean.decay:g} instead of {before:g}"


def _announce_start(job: Job, state: TrainingState, dispatcher: EventDispatcher) -> None:
    total = sum(p.numel() for p in job.model.parameters())
    config, training = job.model.config, state.training_config
    dispatcher.emit(
        reports.training_start(config, training, total, state.environment, state.run_id)
    )
    if training.compile:
        dispatcher.emit(events.Notice(message=_COMPILING))


@contextmanager
def _report_failure(dispatcher: EventDispatcher, steps: Sequence[int]) -> Iterator[None]:
    """Emit that the run failed, where it does.

    Args:
        dispatcher: Takes the event.
        steps: Updates done so far, the last number counts.
    """
    try:
        yield
    except BaseException as error:
        dispatcher.fail(reports.failed(steps[-1], error))
        raise


def _open_checkpointer(
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


def _check_memory(job: Job, tracked: TrackedOptimizer) -> tuple[TrainingMemory, float]:
    """Return what this process will keep in memory, and what is left for the copy of a save."""
    trained = trained_parameters(job.model, job.training)
    saves = job.world.is_main and job.folder is not None and not saves_in_parts(job)
    memory, held = measure_memory(job.model, tracked, trained, job.world, saves=saves)
    device = next(job.model.parameters()).device
    return memory, check_memory(memory, held, device, job.world.local_size)


def _choose_saver(
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


def _history_after(job: Job, trainer: Trainer, tracked: TrackedOptimizer) -> History:
    before, folder = job.model.history, job.folder
    return History(
        state=trainer.progress(),
        optimizer=tracked.collect(),
        path=before.path if folder is None else folder.resolve(),
        digests=before.digests,
    )


def _log_to_write(job: Job) -> Path | None:
    """Return the file that this process appends lines to; None if it keeps no log."""
    sinks = select_options(SINKS, job.training.log_sinks, job.model.plugins.sinks)
    return job.log_file if job.world.is_main and jsonl.NAME in sinks else None


def _open_dispatcher(
    job: Job, state: TrainingState, log: Path | None, stack: ExitStack
) -> EventDispatcher:
    """Lock the log, open the sinks, and report what there is to report before the first step."""
    if not job.world.is_main:
        return EventDispatcher({})
    run, log_notices = _run_info(job, state), []
    if log is not None:
        place, warning = _lock_log(log, job, state, stack)
        run = evolve(run, log_file=place)
        log_notices = [warning] if warning is not None else []
        log_notices += end_notices(run, find_end(run))
        if place != log:
            log_notices.append(f"Logging to {place}, since another run logs to {log}")
    dispatcher = open_sinks(run, job.model.plugins, job.training.log_sinks, state.sinks)
    stack.callback(dispatcher.close)
    for message in (
        *job.notices,
        *(line for loader in _all_loaders(job) for line in (*loader.left_out, *loader.packed)),
        *_inexact_notices(job, state),
        *_schedule_notices(job, state),
        *_difference_notices(job, state),
        *_gold_notices(job, state),
        *log_notices,
    ):
        dispatcher.emit(events.Notice(message=message))
    return dispatcher


def _lock_log(
    log: Path, job: Job, state: TrainingState, stack: ExitStack
) -> tuple[Path, str | None]:
    """Lock the log of a run; return it, and what to warn of where there is no lock.

    A log that nobody asked for is no reason to refuse a run: where another one writes to it, of a
    model of the same name in another folder, this one has a log beside it.

    Raises:
        LockedError: Another run writes to the log that was asked for.
    """
    if state.run_id is None or job.training.log_file is not None:
        return log, stack.enter_context(lock_log(log, no_lock=job.no_lock))
    beside = log_file_beside(log, state.run_id)
    if not beside.exists():
        with suppress(LockedError):
            return log, stack.enter_context(lock_log(log, no_lock=job.no_lock))
    return beside, stack.enter_context(lock_log(beside, no_lock=job.no_lock))


def saves_in_parts(job: Job) -> bool:
    """Return whether each process of a run saves the part of the model that it holds."""
    return job.training.sharded_saves and is_sharded(job.model)


def _make_sharded(job: Job, checkpointer: Checkpointer | None) -> ShardedSaver | None:
    if job.folder is None or not saves_in_parts(job):
        return None
    return ShardedSaver(job.folder, job.world, checkpointer)


def _ensure_unchanged(folder: Path, job: Job) -> None:
    """Raise if another run has saved to the folder while this one read its data."""
    shards = None if job.found_shards is None else read_record(shards_path(folder))
    generation = None if shards is None else shards.generation
    if read_manifest(folder) != job.found or generation != job.found_shards:
        what = "was saved by another run since this one opened it"
        fix = "run the command again, to go on from what it saved"
        raise FormatError(Problem(str(folder), "", what, fix, kind=CHANGING))


def _all_loaders(job: Job) -> Iterator[GPTDataLoader]:
    yield from (phase.loader for phase in job.phases.phases)
    yield from job.eval_loaders.values()


def _first_state(job: Job, tracked: TrackedOptimizer) -> TrainingState:
    previous = job.previous or TrainingState(step=0, lineage=job.lineage)
    data = job.phases.fingerprint
    environment = environment_of(job.model, job.training, job.world.size)
    begun = provenance_of(job.model, job.training, job.command, previous.step)
    provenance, earlier_runs = follow_runs(previous, begun, environment)
    state = evolve(
        begin_or_continue(previous),
        training_config=evolve(job.training, absent=frozenset()),
        phase=job.phases.name_at(previous.step),
        epoch=job.phases.epoch_from(previous, job.training),
        data=evolve(data, source=record_text(data.source)),
        environment=environment,
        provenance=provenance,
        earlier_runs=earlier_runs,
    )
    if job.previous is None:
        return state
    reasons = inexact_reasons(
        previous,
        state,
        fresh=tracked.count_fresh(trained_parameters(job.model, job.training)),
        doubts=(*job.doubts, *tracked.list_doubts()),
        harmless=_harmless_changes(job, previous),
    )
    is_incomparable = explain_incomparable(previous, state) is not None
    are_others = explain_other_losses(previous, state) is not None
    return evolve(
        state,
        exact=previous.exact and not reasons,
        inexact_reasons=(*previous.inexact_reasons, *reasons),
        gold=None if is_incomparable else previous.gold,
        stopping=None if are_others else previous.stopping,
    )


def _harmless_changes(job: Job, previous: TrainingState) -> tuple[str, ...]:
    """Return the fields whose changes concern the steps to come alone."""
    before, plugins = previous.training_config, job.model.plugins
    is_same = is_past_unchanged(
        before,
        job.training,
        previous.step,
        plugins,
        peaks=[peak_of(group) for group in job.optimizer.param_groups],
        is_decayed=has_decay(job.optimizer),
    )
    return SCHEDULE_FIELDS if is_same else ()


def _inexact_notices(job: Job, state: TrainingState) -> list[str]:
    known = 0 if job.previous is None else len(job.previous.inexact_reasons)
    return [f"Not the run of before: {reason}" for reason in state.inexact_reasons[known:]]


def _schedule_notices(job: Job, state: TrainingState) -> Iterator[str]:
    """Yield what the schedules do that might surprise."""
    training, plugins = state.training_config, job.model.plugins
    if job.previous is not None:
        before = job.previous.training_config
        copy, in_python = _find_decay_copy(job, before), job.command is None
        yield from explain_change(
            before, training, state.step, plugins, copy=copy, in_python=in_python
        )
    yield from explain_unused_settings(training)
    yield from explain_unused_beta(job.phases, training)
    if training.batch_schedule:
        yield describe_tokens(job.model.config, training, state.step)
    yield from list_unused_stretches(training)
    yield from explain_no_decay(job.optimizer, training)


def _find_decay_copy(job: Job, before: TrainingConfig) -> Path | None:
    """Find the copy of the model before its learning rate decayed."""
    if job.folder is None or job.previous is None:
        return None
    try:
        decay_step = LearningRate.of(before, job.model.plugins).decay_step
    except MyptError:  # its plugin is gone
        return None
    if decay_step is None or decay_step >= job.previous.step:
        return None
    return find_snapshots(job.folder, job.previous.run_id).get(decay_step)


def _difference_notices(job: Job, state: TrainingState) -> list[str]:
    """Report in what a run differs from the one that it does again."""
    if job.again is None:
        return []
    found = list_differences(job.again, state)
    if not found:
        return ["Nothing that decides the weights differs from the run of before"]
    return [f"Not the run of before: {difference}" for difference in found]


def _gold_notices(job: Job, state: TrainingState) -> list[str]:
    """Announce that the next best model replaces gold, whatever the loss of gold was."""
    why = None if job.previous is None else explain_incomparable(job.previous, state)
    if why is None or job.folder is None:
        return []
    gold = find_copy(job.folder, CopyKind.GOLD, state.run_id)
    replaced = "" if gold is None else f": the next best model replaces {gold}; copy it to keep it"
    return [f"Gold begins anew, since {why}{replaced}"]


def _run_info(job: Job, state: TrainingState) -> RunInfo:
    return RunInfo(
        model_name=job.folder.name if job.folder is not None else "model",
        log_file=job.log_file,
        start_step=state.step,
        evaluated_step=state.step if state.evaluated_step is None else state.evaluated_step,
        resumed=job.previous is not None,
        run_id=state.run_id,
        quiet=job.quiet,
    )
