"""What a run begins from, and what it reads for that: its data, and the choices that need none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.data.training_data import field_with_stdin, load_eval_sets, read_training_data
from mypt.engine.checkpoints.paths import find_checkpoint
from mypt.engine.checkpoints.sharded.newest_save import check_sharded_saves
from mypt.engine.evaluation.gold import build_guards
from mypt.engine.humanize import short_bytes
from mypt.engine.language_model import LanguageModel, tokenizer_or_stand_in
from mypt.engine.logging.activity import tell_pipe
from mypt.engine.runtime.world import CommonError
from mypt.engine.schedules.learning_rate import check_learning_rate
from mypt.engine.training.start.common_start import describe_contents, describe_request
from mypt.format.errors import Problem, UsageError
from mypt.format.rules.plugin_settings import GUARDS, SINKS
from mypt.plugins.selection import check_choices, check_given, select_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.data.curriculum import Phases
    from mypt.data.training_data import TrainingData
    from mypt.engine.checkpoints.sharded.outline import Outline
    from mypt.engine.config.precedence import ResolvedRun, TrainRequest
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import Ancestor, TrainingState
    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins


# So much text takes seconds to tokenize.
_MANY_BYTES = 10_000_000


@frozen(kw_only=True)
class Start:
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
class Ready:
    """What a process has read by itself, before it does anything together with the others.

    Attributes:
        start: What the run begins from.
        phases: What it is trained on.
        eval_loaders: See `Job`.
    """

    start: Start
    phases: Phases
    eval_loaders: Mapping[str, GPTDataLoader]

    def describe(self) -> Iterator[tuple[str, object]]:
        """Yield what all processes have to begin with, by name."""
        start = self.start
        yield from describe_request(start.run, start.opened)
        yield from describe_contents(
            start.model, start.run, start.lineage, self.phases, self.eval_loaders
        )


def load_data(start: Start, world: World, *, quiet: bool) -> Ready:
    """Tokenize what a run is trained and evaluated on."""
    model, training, tokenizer = start.model, start.run.training, tokenizer_or_stand_in(start.model)
    if start.data.text_bytes >= _MANY_BYTES:
        tell_pipe(f"Tokenizing {short_bytes(start.data.text_bytes)} of text", quiet=quiet)
    return Ready(
        start=evolve(start, device=world.place(start.device)),
        phases=start.data.load(model.config, tokenizer, training),
        eval_loaders=load_eval_sets(model.config, tokenizer, training, model.plugins),
    )


def read_data(run: ResolvedRun, world: World, plugins: Plugins) -> TrainingData:
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


def has_data(run: ResolvedRun) -> bool:
    """Return whether a run names what it is trained on."""
    training = run.training
    kinds = training.input_file, training.dataset_dir, training.mixture, training.curriculum
    return any(map(bool, kinds))


def check_run_choices(request: TrainRequest, run: ResolvedRun, plugins: Plugins) -> None:
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


def refuse_options(request: TrainRequest) -> None:
    """Raise if there are options though a new model begins with nobody's weights."""
    if request.options:
        what = "is for the reader of another program's checkpoint, and this model begins with none"
        fix = "leave it out, or name the checkpoint by --init_from_model"
        where = f"options/{', '.join(request.options)}"
        raise UsageError(Problem("", where, what, fix, kind="option.unknown"))


def find_base(request: TrainRequest, opened: Opened) -> Path | None:
    """Return where the base of an adapter is, as the user says; None for any other model.

    A command that is repeated names what it was for at first.
    """
    if request.base is None or opened.config.adapter is None:
        return None
    return find_checkpoint(request.base)
