"""A run of a saved model: it goes on, or has nothing left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.data.input_files import STANDARD_LIBRARY
from mypt.data.stdlib_corpus import is_standard_library
from mypt.data.training_data import load_eval_sets
from mypt.engine.checkpoints.build import build_tokenizer
from mypt.engine.checkpoints.sharded.outline import is_split
from mypt.engine.language_model import LanguageModel
from mypt.engine.runtime.devices import choose_device, is_available
from mypt.engine.training.start.initial_model import model_to_train, outline_to_train
from mypt.engine.training.start.run_inputs import Start, check_run_choices, has_data, read_data
from mypt.format.errors import Problem, UsageError
from mypt.plugins.requirements import check_run

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.engine.config.precedence import ResolvedRun, TrainRequest
    from mypt.engine.runtime.world import World
    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins


def start_resumed(
    request: TrainRequest, run: ResolvedRun, opened: Opened, plugins: Plugins, world: World
) -> Start:
    """Build what the run of a saved model goes on from.

    Raises:
        UsageError: No data are named to go on with.
    """
    run = _name_data(run, opened.path)
    saved = opened.config.device
    wanted = run.device or (saved if saved is not None and is_available(saved) else None)
    check_run(opened.training_state, run.training, opened.needs, plugins, opened.path)
    check_run_choices(request, run, plugins)
    current, outline = evolve(opened, config=run.config), None
    if is_split(run.training, world) and opened.config.adapter is None:
        outline = outline_to_train(current, plugins, world)
    return Start(
        run=run,
        model=model_to_train(current, plugins, LanguageModel) if outline is None else outline.model,
        outline=outline,
        device=choose_device(wanted),
        data=read_data(run, world, plugins),
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
    if has_data(run):
        return run
    source = None if state is None or state.data is None else state.data.source
    if source is not None and is_standard_library(source):
        return evolve(run, training=evolve(run.training, input_file=STANDARD_LIBRARY))
    what = f"was trained on {source}" if source else "does not say what it was trained on"
    fix = "name the data to go on with, by --input_file or --dataset_dir"
    raise UsageError(Problem(str(path), "", what, fix, kind="data"))


def check_unused(
    request: TrainRequest, run: ResolvedRun, opened: Opened, plugins: Plugins, world: World
) -> None:
    """Check the request as if the run went on, though it has nothing left to do."""
    choose_device(run.device)
    check_run_choices(request, run, plugins)
    given, tokenizer = request.training.keys(), build_tokenizer(opened.tokenizer, plugins)
    if {"input_file", "val_file", "dataset_dir", "mixture", "curriculum"} & given:
        data = read_data(run, world, plugins)
        data.check_texts()  # to tokenize them would take long
        if tokenizer is not None and not data.texts:
            data.load(run.config, tokenizer, run.training)
    if tokenizer is not None and {"eval_sets", "eval_dataset_dir"} & given:
        load_eval_sets(run.config, tokenizer, run.training, plugins)
