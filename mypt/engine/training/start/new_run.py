"""A run of a new model: with first weights of its own, or with those of another model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.data.new_tokenizer import NewTokenizer
from mypt.engine.checkpoints.adapters.settings import check_settings
from mypt.engine.checkpoints.build import build_tokenizer
from mypt.engine.checkpoints.paths import check_model_to_begin, find_checkpoint
from mypt.engine.config.precedence import (
    ResolvedRun,
    TrainRequest,
    resolve_fine_tuning,
    resolve_new,
    settle_vocab_size,
)
from mypt.engine.config.vocabulary import describe_widening, widen_tokenizer
from mypt.engine.runtime.devices import choose_device
from mypt.engine.training.start.initial_model import lineage_of, make_from, make_new
from mypt.engine.training.start.run_inputs import (
    Start,
    check_run_choices,
    find_base,
    has_data,
    read_data,
    refuse_options,
)
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.open import open_checkpoint
from mypt.plugins.requirements import check_features

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.data.training_data import TrainingData
    from mypt.engine.checkpoints.sharded.outline import Outline
    from mypt.engine.language_model import LanguageModel
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import Ancestor
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins


def start_new(request: TrainRequest, plugins: Plugins, world: World) -> Start:
    """Make what the run of a new model begins from.

    Raises:
        MyptError: Something of the request, its data or its base does not hold.
    """
    run = resolve_new(request, plugins)
    check_model_to_begin(request.model_name, has_data=has_data(run))
    check_settings(run.training)
    check_run_choices(request, run, plugins)
    if run.training.init_from_model is not None:
        return _start_fine_tuning(request, run.training.init_from_model, plugins, world)
    refuse_options(request)
    device, data = choose_device(run.device), read_data(run, world, plugins)
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
    first, outline = make_new(config, tokenizer, run.training, plugins, world)
    return Start(run=run, model=first, device=device, data=data, outline=outline)


def _start_fine_tuning(request: TrainRequest, name: str, plugins: Plugins, world: World) -> Start:
    path = find_checkpoint(name)
    run, data, (model, outline), lineage = _read_base(request, name, path, plugins, world)
    return Start(
        run=run,
        model=model,
        outline=outline,
        device=choose_device(run.device),
        data=data,
        notices=(f"Beginning with the weights of {path}, at its step {lineage[-1].step}",),
        lineage=lineage,
    )


@reopen_if_saved
def _read_base(
    request: TrainRequest, name: str, path: Path, plugins: Plugins, world: World
) -> tuple[ResolvedRun, TrainingData, tuple[LanguageModel, Outline | None], tuple[Ancestor, ...]]:
    """Read the model whose weights a run begins with, and what the run is trained on."""
    base = open_checkpoint(path, plugins, request.options)
    base = evolve(base, base_path=find_base(request, base))
    run = resolve_fine_tuning(request, base, name, plugins)
    device, data = choose_device(run.device), read_data(run, world, plugins)
    tokenizer, notices = _widen_base(base, run, data, plugins)
    run = evolve(run, notices=(*run.notices, *notices))
    config = evolve(run.config, device=str(device))
    made = make_from(base, config, run.training, plugins, tokenizer, world)
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
