"""`mypt train`: from a request to a job, and to its outcome."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.data.input_files import STANDARD_LIBRARY
from mypt.data.new_tokenizer import NewTokenizer
from mypt.data.stdlib_corpus import is_standard_library
from mypt.data.training_data import field_with_stdin, load_eval_sets, read_training_data
from mypt.engine.averaging.weight_mean import find_means
from mypt.engine.checkpoints.adapters.settings import check_settings
from mypt.engine.checkpoints.build import build_tokenizer
from mypt.engine.checkpoints.copies import name_notices
from mypt.engine.checkpoints.paths import (
    check_model_to_begin,
    find_checkpoint,
    log_file_of,
    model_dir,
)
from mypt.engine.checkpoints.recovery.fall_back import choose_fall_back, find_fall_back
from mypt.engine.checkpoints.recovery.saved_model import (
    check_whole,
    explain_remains,
    find_missing_optimizer,
    missing_problem,
    open_saved,
)
from mypt.engine.checkpoints.sharded.newest_save import (
    NewestSave,
    check_sharded_saves,
    find_newest,
)
from mypt.engine.checkpoints.sharded.outline import is_split, outline_new
from mypt.engine.config.exports import describe_exports, list_exports
from mypt.engine.config.precedence import (
    ResolvedRun,
    TrainRequest,
    list_ineffective,
    resolve_fine_tuning,
    resolve_new,
    resolve_resumed,
    settle_vocab_size,
)
from mypt.engine.config.rerun import resolve_rerun
from mypt.engine.config.vocabulary import describe_widening, widen_tokenizer
from mypt.engine.evaluation.gold import build_guards
from mypt.engine.humanize import short_bytes
from mypt.engine.language_model import LanguageModel, tokenizer_or_stand_in
from mypt.engine.logging.activity import show_activity, tell_pipe
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.runtime.devices import autocast_dtype, choose_device, is_available
from mypt.engine.runtime.fsdp import shard
from mypt.engine.runtime.out_of_memory import TRAINING, explain_oom
from mypt.engine.runtime.world import CommonError, join_world
from mypt.engine.schedules.learning_rate import check_learning_rate
from mypt.engine.stopping.ends import is_finished, repeat_settings, take_settings
from mypt.engine.training.common_start import (
    describe_contents,
    describe_request,
    ensure_same_start,
)
from mypt.engine.training.initial_model import (
    lineage_of,
    model_to_train,
    outline_from,
    outline_to_train,
    resumed_optimizer,
    start_from,
)
from mypt.engine.training.lr_finder import find_learning_rate
from mypt.engine.training.run import train
from mypt.engine.training.trainer import Job
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.errors import FormatError, Problem, UsageError
from mypt.format.open import is_checkpoint, open_checkpoint
from mypt.format.rules.plugin_settings import GUARDS, SINKS
from mypt.format.shards.record import holds_shards
from mypt.format.storage.files import TRAINING_STATE
from mypt.format.storage.generations import read_manifest
from mypt.format.storage.succession import finish_succession
from mypt.model.lora.attachment import tie_head
from mypt.plugins.requirements import check_features, check_run
from mypt.plugins.selection import check_choices, check_given, select_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import torch

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.data.curriculum import Phases
    from mypt.data.training_data import TrainingData
    from mypt.engine.checkpoints.recovery.fall_back import FallBack
    from mypt.engine.checkpoints.sharded.outline import Outline
    from mypt.engine.runtime.world import World
    from mypt.engine.training.lr_finder import RateSearch
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import Ancestor, TrainingConfig, TrainingState
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins


# So much text takes seconds to tokenize.
_MANY_BYTES = 10_000_000
_WHOLE = (
    "Each process begins with the whole weights on the CPU, before it keeps its part: they are "
    "made of those of another model, or by parts of a plugin"
)
_MUCH_MEMORY = 100_000_000  # bytes of ids from which on a run says where they could be


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


@frozen(kw_only=True)
class _Start:
    """What a run begins from.

    Attributes:
        run: Its settings.
        model: The model, on the CPU.
        device: Device of this process.
        data: What it is trained on.
        outline: The model as one that is split before it has values, where it is.
        opened: The checkpoint of a run that goes on, with the optimizer's state.
        notices: What the user is told first, a line each.
        lineage: See `Job`.
        doubts: See `Job`.
        again: See `Job`.
    """

    run: ResolvedRun
    model: LanguageModel
    device: torch.device
    data: TrainingData
    outline: Outline | None = None
    opened: Opened | None = None
    notices: tuple[str, ...] = ()
    lineage: tuple[Ancestor, ...] = ()
    doubts: tuple[str, ...] = ()
    again: TrainingState | None = None


@frozen(kw_only=True)
class _Ready:
    """What a process has read by itself, before it does anything together with the others.

    Attributes:
        start: What the run begins from.
        phases: What it is trained on.
        eval_loaders: See `Job`.
    """

    start: _Start
    phases: Phases
    eval_loaders: Mapping[str, GPTDataLoader]

    def describe(self) -> Iterator[tuple[str, object]]:
        """Yield what all processes have to begin with, by name."""
        start = self.start
        yield from describe_request(start.run, start.opened)
        yield from describe_contents(
            start.model, start.run, start.lineage, self.phases, self.eval_loaders
        )


@frozen
class _Prepared:
    """What was read: what a run begins from, or how it has ended already.

    Attributes:
        ready: What it begins from, or its outcome.
        describe: Yields what all processes have to have in common, by name.
        fall_back: The copy that was read, since the model is damaged.
    """

    ready: _Ready | Outcome
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
        _build_job(ready, folder, world),
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
        start = _start_again(request, request.again, plugins, world)
        ready = _load_data(start, world, quiet=quiet)
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
    ready = _load_data(_start_new(request, plugins, world), world, quiet=quiet)
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
    opened = evolve(opened, base_path=_find_base(request, opened))
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
        _check_unused(request, run, opened, plugins, world)
        notices = (*notices, *run.notices, *list_ineffective(request, run, opened))
        outcome = Outcome(folder, done, False, world.is_main, notices)
        return _Prepared(outcome, partial(describe_request, run, opened), fall_back)
    start = _start_resumed(request, run, opened, plugins, world)
    ready = _load_data(evolve(start, notices=(*notices, *start.notices)), world, quiet=quiet)
    return _Prepared(ready, ready.describe, fall_back)


def _find_base(request: TrainRequest, opened: Opened) -> Path | None:
    """Return where the base of an adapter is, as the user says; None for any other model.

    A command that is repeated names what it was for at first.
    """
    if request.base is None or opened.config.adapter is None:
        return None
    return find_checkpoint(request.base)


def _load_data(start: _Start, world: World, *, quiet: bool) -> _Ready:
    """Tokenize what a run is trained and evaluated on."""
    model, training, tokenizer = start.model, start.run.training, tokenizer_or_stand_in(start.model)
    if start.data.text_bytes >= _MANY_BYTES:
        tell_pipe(f"Tokenizing {short_bytes(start.data.text_bytes)} of text", quiet=quiet)
    return _Ready(
        start=evolve(start, device=world.place(start.device)),
        phases=start.data.load(model.config, tokenizer, training),
        eval_loaders=load_eval_sets(model.config, tokenizer, training, model.plugins),
    )


def _refuse_options(request: TrainRequest) -> None:
    """Raise if there are options though a new model begins with nobody's weights."""
    if request.options:
        what = "is for the reader of another program's checkpoint, and this model begins with none"
        fix = "leave it out, or name the checkpoint by --init_from_model"
        where = f"options/{', '.join(request.options)}"
        raise UsageError(Problem("", where, what, fix, kind="option.unknown"))


def _check_unused(
    request: TrainRequest, run: ResolvedRun, opened: Opened, plugins: Plugins, world: World
) -> None:
    """Check the request as if the run went on, though it has nothing left to do."""
    choose_device(run.device)
    _check_choices(request, run, plugins)
    given, tokenizer = request.training.keys(), build_tokenizer(opened.tokenizer, plugins)
    if {"input_file", "val_file", "dataset_dir", "mixture", "curriculum"} & given:
        data = _read_data(run, world, plugins)
        data.check_texts()  # to tokenize them would take long
        if tokenizer is not None and not data.texts:
            data.load(run.config, tokenizer, run.training)
    if tokenizer is not None and {"eval_sets", "eval_dataset_dir"} & given:
        load_eval_sets(run.config, tokenizer, run.training, plugins)


def _check_choices(request: TrainRequest, run: ResolvedRun, plugins: Plugins) -> None:
    """Check what can be checked of guards, sinks and optimizer before any data are read.

    A saved run goes on without the sinks that are no longer here, unless they are asked for.
    """
    training = run.training
    for field in (GUARDS, SINKS):
        is_given = field in request.training
        if is_given or run.previous is None:
            file = "" if is_given else run.preset.file
            check_given(field, getattr(training, field), plugins, file)
    given = request.training.keys()
    check_choices(training, plugins, given, run.preset.file)
    check_learning_rate(training, plugins, given, run.preset.file)
    check_sharded_saves(training)
    build_guards(training.gold_guards, plugins.guards)
    select_options(SINKS, training.log_sinks, plugins.sinks)


def _read_data(run: ResolvedRun, world: World, plugins: Plugins) -> TrainingData:
    """Read the texts that a run trains on.

    Raises:
        CommonError: One is the standard input, of which each process would get a part.
    """
    field = field_with_stdin(run.training)
    if field is not None and world.size > 1:
        what = "names the standard input, which several processes cannot share"
        fix = "write it to a file first, or to a data set: mypt data prepare - --output FOLDER"
        raise CommonError(Problem("", field, what, fix, kind="world.stdin"))
    return read_training_data(run.training, plugins)


def _start_new(request: TrainRequest, plugins: Plugins, world: World) -> _Start:
    run = resolve_new(request, plugins)
    check_model_to_begin(request.model_name, has_data=_has_data(run))
    check_settings(run.training)
    _check_choices(request, run, plugins)
    if run.training.init_from_model is not None:
        return _start_fine_tuning(request, run.training.init_from_model, plugins, world)
    _refuse_options(request)
    device, data = choose_device(run.device), _read_data(run, world, plugins)
    wanted = NewTokenizer(
        run.tokenization,
        sections=run.config.plugins,
        vocab_size=run.asked_vocab_size(run.tokenization),
    )
    new = data.tokenizer(wanted, plugins)
    tokenizer = widen_tokenizer(new, run.training, data.folders, plugins)
    run = evolve(run, notices=(*run.notices, *describe_widening(tokenizer, new)))
    if request.tokenization not in (None, tokenizer.token_kind):
        ignored = f"--tokenization {request.tokenization} is ignored: the data set was made with "
        run = evolve(run, notices=(*run.notices, ignored + tokenizer.token_kind))
    run = settle_vocab_size(run, tokenizer)
    config = evolve(run.config, device=str(device))
    first, outline = _make_new(config, tokenizer, run.training, plugins, world)
    return _Start(run=run, model=first, device=device, data=data, outline=outline)


def _make_new(
    config: GPTConfig,
    tokenizer: Tokenizer | None,
    training: TrainingConfig,
    plugins: Plugins,
    world: World,
) -> tuple[LanguageModel, Outline | None]:
    """Make a new model, as an outline where the processes can do with their parts of it."""
    if is_split(training, world):
        outline = outline_new(config, tokenizer, training.seed, plugins)
        if outline is not None:
            return outline.model, outline
    return LanguageModel(config, tokenizer, seed=training.seed, plugins=plugins), None


def _make_from(
    base: Opened,
    config: GPTConfig,
    training: TrainingConfig,
    plugins: Plugins,
    tokenizer: Tokenizer | None,
    world: World,
) -> tuple[LanguageModel, Outline | None]:
    """Make a model with the weights of another one, likewise."""
    if is_split(training, world):
        outline = outline_from(base, config, plugins, world, tokenizer)
        if outline is not None:
            return outline.model, outline
    return start_from(base, config, plugins, training, tokenizer), None


def _start_fine_tuning(request: TrainRequest, name: str, plugins: Plugins, world: World) -> _Start:
    path = find_checkpoint(name)
    run, data, (model, outline), lineage = _read_base(request, name, path, plugins, world)
    return _Start(
        run=run,
        model=model,
        outline=outline,
        device=choose_device(run.device),
        data=data,
        notices=(f"Beginning with the weights of {path}, at its step {lineage[-1].step}",),
        lineage=lineage,
    )


def _start_again(request: TrainRequest, opened: Opened, plugins: Plugins, world: World) -> _Start:
    """Begin the run of a checkpoint anew, with its settings and its vocabulary.

    Raises:
        UsageError: There is something under its new name, its data were those of the standard
            input, or the model that it began with is gone.
    """
    run, folder = resolve_rerun(opened), model_dir(request.model_name)
    notices = [f"Doing the run of {opened.path} again, from the beginning"]
    if opened.training_state is not None:
        training = repeat_settings(opened.training_state, run.training)
        if training != run.training:
            ended = f"after {training.max_tokens:,} tokens (max_tokens)"
            notices.append(f"The clock ended it (max_minutes), and this one ends {ended}")
        run = evolve(run, training=training)
    _ensure_repeatable(run, opened, folder)
    check_run(opened.training_state, run.training, opened.needs, plugins, opened.path)
    _check_choices(request, run, plugins)
    wanted, base = run.device, run.training.init_from_model
    device = choose_device(wanted if wanted is not None and is_available(wanted) else None)
    config = evolve(run.config, device=str(device))
    lineage: tuple[Ancestor, ...] = ()
    if base is not None:
        from_base = open_checkpoint(find_checkpoint(base), plugins, request.options)
        tokenizer = build_tokenizer(opened.tokenizer, plugins)
        made = _make_from(from_base, config, run.training, plugins, tokenizer, world)
        lineage = lineage_of(from_base, base)
    else:
        opened.check_tokenizer()
        _refuse_options(request)
        plugins.tokenizer(run.tokenization)  # says why there is none
        tokenizer = build_tokenizer(opened.tokenizer, plugins)
        made = _make_new(config, tokenizer, run.training, plugins, world)
    model, outline = made
    model.tokenizer_state = opened.tokenizer
    return _Start(
        run=run,
        model=model,
        outline=outline,
        device=device,
        data=_read_data(run, world, plugins),
        notices=tuple(notices),
        lineage=lineage,
        again=opened.training_state,
    )


def _ensure_repeatable(run: ResolvedRun, opened: Opened, folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        what, fix = "is not empty, and a run that is done again begins a new model", "name another"
        raise UsageError(Problem("", "model_name", f"{folder} {what}", fix, kind="rerun"))
    field, file = field_with_stdin(run.training), str(opened.path / TRAINING_STATE)
    if field is not None:
        what = "names the standard input, which is gone"
        fix = "begin a new run with the same text as a file"
        where = f"/training_config/{field}"
        raise UsageError(Problem(file, where, what, fix, kind="rerun"))
    if not _has_data(run):
        what = "does not name the data that it was trained on, so they cannot be read again"
        fix = "begin a new run with its settings: mypt train --config_file " + str(opened.path)
        raise UsageError(Problem(file, "/training_config", what, fix, kind="rerun"))


@reopen_if_saved
def _read_base(
    request: TrainRequest, name: str, path: Path, plugins: Plugins, world: World
) -> tuple[ResolvedRun, TrainingData, tuple[LanguageModel, Outline | None], tuple[Ancestor, ...]]:
    """Read the model whose weights a run begins with, and what the run is trained on."""
    base = open_checkpoint(path, plugins, request.options)
    base = evolve(base, base_path=_find_base(request, base))
    run = resolve_fine_tuning(request, base, name, plugins)
    device, data = choose_device(run.device), _read_data(run, world, plugins)
    tokenizer, notices = _widen_base(base, run, data, plugins)
    run = evolve(run, notices=(*run.notices, *notices))
    config = evolve(run.config, device=str(device))
    made = _make_from(base, config, run.training, plugins, tokenizer, world)
    return run, data, made, lineage_of(base, name)


def _widen_base(
    base: Opened, run: ResolvedRun, data: TrainingData, plugins: Plugins
) -> tuple[Tokenizer | None, tuple[str, ...]]:
    """Return the tokenizer of a base with what a run adds to it, and a line on each such thing.

    It is None where that of the base is not here.

    Raises:
        PluginError: It is not here, and the run is to add something.
    """
    tokenizer = build_tokenizer(base.tokenizer, plugins)
    if tokenizer is not None:
        wider = widen_tokenizer(tokenizer, run.training, data.folders, plugins)
        return wider, tuple(describe_widening(wider, tokenizer))
    if run.training.special_tokens or run.training.chat_template is not None:
        check_features("tokenizer", base.need_tokenizer(), base.path)
        plugins.tokenizer(base.need_tokenizer().token_kind)  # says why there is none
    return None, ()


def _start_resumed(
    request: TrainRequest, run: ResolvedRun, opened: Opened, plugins: Plugins, world: World
) -> _Start:
    run = _name_data(run, opened.path)
    saved = opened.config.device
    wanted = run.device or (saved if saved is not None and is_available(saved) else None)
    check_run(opened.training_state, run.training, opened.needs, plugins, opened.path)
    _check_choices(request, run, plugins)
    current, outline = evolve(opened, config=run.config), None
    if is_split(run.training, world) and opened.config.adapter is None:
        outline = outline_to_train(current, plugins, world)
    return _Start(
        run=run,
        model=model_to_train(current, plugins, LanguageModel) if outline is None else outline.model,
        outline=outline,
        device=choose_device(wanted),
        data=_read_data(run, world, plugins),
        opened=opened,
        notices=(f"Resuming {opened.path} from step {run.training.start_step}",),
        doubts=(*opened.doubts, *run.doubts),
    )


def _name_data(run: ResolvedRun, path: Path) -> ResolvedRun:
    """Return the run with the data that a saved model was trained on, where it names none.

    Those that were trained on the standard library once did not name it.

    Raises:
        UsageError: The model would be trained further on a text that has nothing to do with it,
            such as one given in Python, or by a program that did not note it.
    """
    state = run.previous
    if _has_data(run):
        return run
    source = None if state is None or state.data is None else state.data.source
    if source is not None and is_standard_library(source):
        return evolve(run, training=evolve(run.training, input_file=STANDARD_LIBRARY))
    what = f"was trained on {source}" if source else "does not say what it was trained on"
    fix = "name the data to go on with, by --input_file or --dataset_dir"
    raise UsageError(Problem(str(path), "", what, fix, kind="data"))


def _has_data(run: ResolvedRun) -> bool:
    training = run.training
    kinds = training.input_file, training.dataset_dir, training.mixture, training.curriculum
    return any(map(bool, kinds))


def _build_job(ready: _Ready, folder: Path, world: World) -> Job:
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
