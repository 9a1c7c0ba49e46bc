"""A run that is done again from its beginning, as its checkpoint tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.data.training_data import field_with_stdin
from mypt.engine.checkpoints.build import build_tokenizer
from mypt.engine.checkpoints.paths import find_checkpoint, model_dir
from mypt.engine.config.rerun import resolve_rerun
from mypt.engine.runtime.devices import choose_device, is_available
from mypt.engine.stopping.ends import repeat_settings
from mypt.engine.training.start.initial_model import lineage_of, make_from, make_new
from mypt.engine.training.start.run_inputs import (
    Start,
    check_run_choices,
    has_data,
    read_data,
    refuse_options,
)
from mypt.format.errors import Problem, UsageError
from mypt.format.open import open_checkpoint
from mypt.format.storage.files import TRAINING_STATE, is_present
from mypt.plugins.requirements import check_run

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.engine.config.precedence import ResolvedRun, TrainRequest
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import Ancestor
    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins


def start_again(request: TrainRequest, opened: Opened, plugins: Plugins, world: World) -> Start:
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
    check_run_choices(request, run, plugins)
    wanted, base = run.device, run.training.init_from_model
    device = choose_device(wanted if wanted is not None and is_available(wanted) else None)
    config = evolve(run.config, device=str(device))
    lineage: tuple[Ancestor, ...] = ()
    if base is not None:
        from_base = open_checkpoint(find_checkpoint(base), plugins, request.options)
        tokenizer = build_tokenizer(opened.tokenizer, plugins)
        made = make_from(from_base, config, run.training, plugins, tokenizer, world)
        lineage = lineage_of(from_base, base)
    else:
        opened.check_tokenizer()
        refuse_options(request)
        plugins.tokenizer(run.tokenization)  # says why there is none
        tokenizer = build_tokenizer(opened.tokenizer, plugins)
        made = make_new(config, tokenizer, run.training, plugins, world)
    model, outline = made
    model.tokenizer_state = opened.tokenizer
    return Start(
        run=run,
        model=model,
        outline=outline,
        device=device,
        data=read_data(run, world, plugins),
        notices=tuple(notices),
        lineage=lineage,
        again=opened.training_state,
    )


def _ensure_repeatable(run: ResolvedRun, opened: Opened, folder: Path) -> None:
    if is_present(folder) and any(folder.iterdir()):
        what, fix = "is not empty, and a run that is done again begins a new model", "name another"
        raise UsageError(Problem("", "model_name", f"{folder} {what}", fix, kind="rerun"))
    field, file = field_with_stdin(run.training), str(opened.path / TRAINING_STATE)
    if field is not None:
        what = "names the standard input, which is gone"
        fix = "begin a new run with the same text as a file"
        where = f"/training_config/{field}"
        raise UsageError(Problem(file, where, what, fix, kind="rerun"))
    if not has_data(run):
        what = "does not name the data that it was trained on, so they cannot be read again"
        fix = "begin a new run with its settings: mypt train --config_file " + str(opened.path)
        raise UsageError(Problem(file, "/training_config", what, fix, kind="rerun"))
