"""`mypt train`: from a request to a job, and to its outcome."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.engine.checkpoints.paths import model_dir
from mypt.engine.checkpoints.recovery.fall_back import choose_fall_back, find_fall_back
from mypt.engine.checkpoints.recovery.saved_model import (
    check_whole,
    explain_remains,
    find_missing_optimizer,
    missing_problem,
    open_saved,
)
from mypt.engine.checkpoints.sharded.newest_save import NewestSave, find_newest
from mypt.engine.config.precedence import TrainRequest, list_ineffective, resolve_resumed
from mypt.engine.logging.activity import show_activity
from mypt.engine.runtime.out_of_memory import TRAINING, explain_oom
from mypt.engine.runtime.world import join_world
from mypt.engine.stopping.ends import is_finished, take_settings
from mypt.engine.training.lr_finder import find_learning_rate
from mypt.engine.training.run import train
from mypt.engine.training.start.common_start import describe_request, ensure_same_start
from mypt.engine.training.start.job_assembly import build_job
from mypt.engine.training.start.new_run import start_new
from mypt.engine.training.start.repeated_run import start_again
from mypt.engine.training.start.run_inputs import Ready, find_base, load_data
from mypt.engine.training.start.saved_run import check_unused, start_resumed
from mypt.format.errors import FormatError
from mypt.format.open import is_checkpoint
from mypt.format.storage.succession import finish_succession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypt.engine.checkpoints.recovery.fall_back import FallBack
    from mypt.engine.runtime.world import World
    from mypt.engine.training.job import Job
    from mypt.engine.training.lr_finder import RateSearch
    from mypt.format.documents.training import TrainingState
    from mypt.plugins.manager import Plugins


@frozen
class Outcome:
    """How a run ended.

    Attributes:
        folder: Folder of the bundle.
        state: The state that was saved last.
        trained: Whether there was anything left to do.
        is_main: Whether this process reports for all that trained together.
        notices: What to report where there was nothing left to do, a line each.
    """

    folder: Path
    state: TrainingState
    trained: bool
    is_main: bool = True
    notices: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the run reached its `max_iters`, or another limit, and was evaluated there."""
        return is_finished(self.state)


@frozen
class _Prepared:
    """What was read: what a run begins from, or how it has ended already.

    Attributes:
        ready: What it begins from, or its outcome.
        describe: Yields what all processes have to have in common, by name.
        fall_back: The copy that was read, since the model is damaged.
    """

    ready: Ready | Outcome
    describe: Callable[[], Iterator[tuple[str, object]]]
    fall_back: FallBack | None = None


def run_training(request: TrainRequest, plugins: Plugins, *, quiet: bool = False) -> Outcome:
    """Train a new model, or resume the one of that name, or do the run of another one again.

    Everything is checked before the first file is written.

    Raises:
        MyptError: Something the user can fix; nothing was written.
        SaveError: A checkpoint could not be written; the one before it is whole.
        OutOfMemoryError: The memory is too small; the same holds.
    """
    folder = model_dir(request.model_name)
    with join_world() as world, explain_oom(TRAINING):
        job = _prepare_together(request, folder, plugins, world, quiet=quiet)
        if isinstance(job, Outcome):
            return job
        return Outcome(folder, train(job), trained=True, is_main=world.is_main)


def search_learning_rate(
    request: TrainRequest, plugins: Plugins, report: Callable[[str], None]
) -> RateSearch | None:
    """Search a learning rate for what a request would train, and write nothing.

    Args:
        request: The request, with `find_lr`.
        plugins: Where parts and tokenizers are looked up.
        report: Called with each line on what the search works on.

    Returns:
        The search; None in a process that does not report.

    Raises:
        MyptError: Something the user can fix.
        OutOfMemoryError: The memory is too small.
    """
    with join_world() as world, explain_oom(TRAINING):
        job = _prepare_together(request, model_dir(request.model_name), plugins, world, quiet=False)
        if isinstance(job, Outcome):  # not for a search, which goes on beyond the end of a run
            return None
        for line in job.notices if world.is_main else ():
            report(line)
        search = find_learning_rate(job)
        return search if world.is_main else None


def _prepare_together(
    request: TrainRequest, folder: Path, plugins: Plugins, world: World, *, quiet: bool
) -> Job | Outcome:
    """Prepare in all processes, and compare; return the outcome where there is nothing to do.

    What the checkpoint is mapped to is no longer used then, and goes before the training begins.
    """
    silent = quiet or not world.is_main
    reading = show_activity("Reading and tokenizing the data", quiet=silent)
    with world.stage("recovery"):
        if world.is_main and not request.find_lr:
            finish_succession(folder)
    with world.stage("preparation"), explain_oom(TRAINING), reading:
        prepared = _prepare(request, folder, plugins, world, quiet=silent)
    ready, fall_back = prepared.ready, prepared.fall_back
    ensure_same_start(world, prepared.describe)
    if isinstance(ready, Outcome):
        if fall_back is not None and world.is_main:
            fall_back.take(no_lock=request.no_lock)
        return ready
    return evolve(
        build_job(ready, folder, world),
        fall_back=fall_back,
        command=request.command,
        overwrite=request.overwrite,
        no_lock=request.no_lock,
        quiet=quiet,
    )


def _prepare(
    request: TrainRequest, folder: Path, plugins: Plugins, world: World, *, quiet: bool
) -> _Prepared:
    """Read all that a run begins from: a saved model, its copy if it is damaged, or a new one.

    Raises:
        FormatError: The saved model is damaged, and no copy of it serves or is asked for.
    """
    if request.again is not None:
        start = start_again(request, request.again, plugins, world)
        ready = load_data(start, world, quiet=quiet)
        return _Prepared(ready, ready.describe)
    newest = find_newest(folder)
    if newest.path != folder:
        return _prepare_saved(request, folder, None, plugins, world, quiet=quiet, newest=newest)
    if not is_checkpoint(folder, plugins):
        return _prepare_absent(request, folder, plugins, world, quiet=quiet)
    try:
        return _prepare_saved(request, folder, None, plugins, world, quiet=quiet, newest=newest)
    except FormatError as error:
        found = choose_fall_back(folder, error, plugins, is_wanted=request.fall_back)
    return _prepare_saved(request, folder, found, plugins, world, quiet=quiet)


def _prepare_absent(
    request: TrainRequest, folder: Path, plugins: Plugins, world: World, *, quiet: bool
) -> _Prepared:
    """Read all that a run begins from where no model is.

    Raises:
        FormatError: There are remains of one, and no copy of it serves or is asked for.
    """
    remains, found = explain_remains(folder), None
    if remains is not None:
        error = FormatError(remains)
        found = choose_fall_back(folder, error, plugins, is_wanted=request.fall_back)
    elif request.fall_back:
        found = find_fall_back(folder, (missing_problem(folder),), plugins)
    if found is not None:
        return _prepare_saved(request, folder, found, plugins, world, quiet=quiet)
    ready = load_data(start_new(request, plugins, world), world, quiet=quiet)
    return _Prepared(ready, ready.describe)


def _prepare_saved(
    request: TrainRequest,
    folder: Path,
    fall_back: FallBack | None,
    plugins: Plugins,
    world: World,
    *,
    quiet: bool,
    newest: NewestSave | None = None,
) -> _Prepared:
    """Read all that the run of a saved model begins from.

    Args:
        request: The request.
        folder: The model.
        fall_back: The copy of it to go on from; None for the model itself.
        plugins: Where parts and tokenizers are looked up.
        world: The processes that train together.
        quiet: Print nothing.
        newest: What was saved last of it, which may be in parts; by default the model.
    """
    newest = newest or NewestSave(folder)
    opened = open_saved(newest.path, fall_back, request.options, plugins)
    opened = evolve(opened, base_path=find_base(request, opened))
    missing = find_missing_optimizer(opened)
    if request.fall_back and fall_back is None:
        check_whole(opened, missing)
    run = resolve_resumed(request, opened, plugins)
    notices = () if missing is None else (str(missing),)
    notices = notices if fall_back is None else (*fall_back.notices, *notices)
    notices = (*newest.notices, *notices)
    if request.tokenization is not None:
        plugins.tokenizer(request.tokenization)  # ignored, but checked
    saved = opened.training_state
    done = None if saved is None or request.find_lr else take_settings(saved, run.training)
    if done is not None and is_finished(done):
        check_unused(request, run, opened, plugins, world)
        notices = (*notices, *run.notices, *list_ineffective(request, run, opened))
        outcome = Outcome(folder, done, False, world.is_main, notices)
        return _Prepared(outcome, partial(describe_request, run, opened), fall_back)
    start = start_resumed(request, run, opened, plugins, world)
    ready = load_data(evolve(start, notices=(*notices, *start.notices)), world, quiet=quiet)
    return _Prepared(ready, ready.describe, fall_back)
