"""The log of a run and its other sinks: opened, locked, and told how the run begins and fails."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.checkpoints.paths import log_file_beside
from mypt.engine.logging import events, jsonl, reports
from mypt.engine.logging.dispatch import EventDispatcher, open_sinks
from mypt.engine.logging.log_file import end_notices, find_end, lock_log
from mypt.engine.training.setup.first_notices import (
    difference_notices,
    gold_notices,
    inexact_notices,
    schedule_notices,
)
from mypt.format.errors import LockedError
from mypt.format.rules.plugin_settings import SINKS
from mypt.format.storage.files import is_present
from mypt.plugins.contracts.sink import RunInfo
from mypt.plugins.selection import select_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingState


_COMPILING = "Compiling the layers: the first batches take longer, a minute or more"


def log_to_write(job: Job) -> Path | None:
    """Return the file that this process appends lines to; None if it keeps no log."""
    sinks = select_options(SINKS, job.training.log_sinks, job.model.plugins.sinks)
    return job.log_file if job.world.is_main and jsonl.NAME in sinks else None


def open_dispatcher(
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
        *(line for loader in all_loaders(job) for line in (*loader.left_out, *loader.packed)),
        *inexact_notices(job, state),
        *schedule_notices(job, state),
        *difference_notices(job, state),
        *gold_notices(job, state),
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
    if not is_present(beside):
        with suppress(LockedError):
            return log, stack.enter_context(lock_log(log, no_lock=job.no_lock))
    return beside, stack.enter_context(lock_log(beside, no_lock=job.no_lock))


def _run_info(job: Job, state: TrainingState) -> RunInfo:
    return RunInfo(
        model_name=job.folder.name if job.folder is not None else "model",
        log_file=job.log_file,
        start_step=state.step,
        evaluated_step=state.last_evaluation,
        resumed=job.previous is not None,
        run_id=state.run_id,
        quiet=job.quiet,
    )


def all_loaders(job: Job) -> Iterator[GPTDataLoader]:
    """Yield what a run trains on, phase by phase, and then what it is evaluated on."""
    yield from (phase.loader for phase in job.phases.phases)
    yield from job.eval_loaders.values()


def announce_start(job: Job, state: TrainingState, dispatcher: EventDispatcher) -> None:
    """Emit that the run starts, and what takes long at first."""
    total = sum(p.numel() for p in job.model.parameters())
    config, training = job.model.config, state.training_config
    dispatcher.emit(
        reports.training_start(config, training, total, state.environment, state.run_id)
    )
    if training.compile:
        dispatcher.emit(events.Notice(message=_COMPILING))


@contextmanager
def report_failure(dispatcher: EventDispatcher, steps: Sequence[int]) -> Iterator[None]:
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
