"""`mypt train`: from a request to a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.data.stdlib_corpus import is_standard_library
from mypt.data.training_data import TrainingData, load_eval_sets, read_training_data
from mypt.engine.checkpoints.build import build_tokenizer
from mypt.engine.checkpoints.copies import name_notices
from mypt.engine.checkpoints.paths import find_checkpoint, log_file_of, model_dir
from mypt.engine.config.precedence import (
    Plan,
    TrainRequest,
    plan_from_base,
    plan_new,
    plan_resume,
    without_effect,
)
from mypt.engine.evaluation.gold import build_guards
from mypt.engine.language_model import LanguageModel
from mypt.engine.runtime.devices import choose_device, is_available
from mypt.engine.runtime.fsdp import shard
from mypt.engine.runtime.out_of_memory import TRAINING, explain_oom
from mypt.engine.runtime.world import joined
from mypt.engine.training.initial_model import (
    lineage_of,
    model_to_train,
    resumed_optimizer,
    start_from,
)
from mypt.engine.training.optimizer import make_optimizer
from mypt.engine.training.run import Job, train
from mypt.format.errors import Problem, UsageError
from mypt.format.open import Opened, is_checkpoint, open_checkpoint
from mypt.format.readers.hugging_face import reader as hugging_face
from mypt.plugins.requirements import check_guards
from mypt.plugins.selection import chosen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from mypt.data.curriculum import Phases
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import TrainingState
    from mypt.plugins.contracts import Tokenizer
    from mypt.plugins.manager import Plugins


@frozen
class Outcome:
    """How a run ended.

    Attributes:
        folder: Folder of the bundle.
        state: The state that was saved last.
        trained: Whether there was anything left to do.
        is_main: Whether this process speaks for all that trained together.
        notices: What is to be said where there was nothing left to do, a line each.
    """

    folder: Path
    state: TrainingState
    trained: bool
    is_main: bool = True
    notices: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the run reached its `max_iters` and was evaluated there."""
        return _is_finished(self.state, self.state.training_config.max_iters)


def run_training(request: TrainRequest, plugins: Plugins, *, quiet: bool = False) -> Outcome:
    """Train a new model, or go on with the one of that name.

    Everything is checked before the first file is written.

    Raises:
        MyptError: Something the user can mend; nothing was written.
        SaveError: A checkpoint could not be written; the one before it is whole.
        OutOfMemoryError: The memory is too small; the same holds.
    """
    folder = model_dir(request.model_name)
    with joined() as world, explain_oom(TRAINING):
        if not is_checkpoint(folder, plugins):
            state, job = None, _new_job(request, plugins, world)
        else:
            opened = open_checkpoint(folder, plugins)
            _refuse_to_overwrite(opened)
            plan = plan_resume(request, opened, plugins.layouts)
            if request.tokenization is not None:
                plugins.tokenizer(request.tokenization)  # ignored, but no mistake
            state = opened.training_state
            if state is not None and _is_finished(state, plan.training.max_iters):
                _check_unused(request, plan, opened, plugins)
                done = evolve(state, training_config=plan.training)
                notices = (*plan.notices, *without_effect(request, plan, opened))
                return Outcome(folder, done, False, world.is_main, notices)
            job = _resumed_job(plan, opened, plugins, world)
        log_file = log_file_of(job.training, folder.name)
        job = evolve(job, notices=(*job.notices, *name_notices(folder, state)))
        state = train(evolve(job, folder=folder, log_file=log_file, quiet=quiet))
        return Outcome(folder, state, trained=True, is_main=world.is_main)


def _check_unused(request: TrainRequest, plan: Plan, opened: Opened, plugins: Plugins) -> None:
    """Check what was given as if the run went on, though it has nothing left to do."""
    choose_device(plan.device)
    build_guards(plan.training.gold_guards, plugins.guards)
    chosen("log_sinks", plan.training.log_sinks, plugins.sinks)
    given, tokenizer = request.training.keys(), build_tokenizer(opened.tokenizer, plugins)
    if {"input_file", "dataset_dir", "curriculum"} & given:
        sources = read_training_data(plan.training)
        if tokenizer is not None and "dataset_dir" in given:  # a text would take long to tokenize
            sources.load(plan.config, tokenizer, plan.training)
    if tokenizer is not None and {"eval_sets", "eval_dataset_dir"} & given:
        load_eval_sets(plan.config, tokenizer, plan.training)


def _is_finished(state: TrainingState, max_iters: int) -> bool:
    """Tell whether all updates are made; one stopped in its last evaluation still has that."""
    return state.step >= max_iters and state.evaluated_step in (None, state.step)


def _refuse_to_overwrite(opened: Opened) -> None:
    """Refuse to save beside the `config.json` of another program, which would replace it."""
    if opened.format == hugging_face.READER.name:
        what = "is another program's folder, whose config.json would be written over"
        fix = f"make a bundle of it first: mypt format migrate {opened.path}"
        raise UsageError(Problem(str(opened.path), "", what, fix, kind="checkpoint.foreign"))


def _new_job(request: TrainRequest, plugins: Plugins, world: World) -> Job:
    plan = plan_new(request, plugins.layouts)
    if plan.training.init_from_model is not None:
        return _fine_tuning_job(request, plan.training.init_from_model, plugins, world)
    device, sources = choose_device(plan.device), read_training_data(plan.training)
    tokenizer = sources.tokenizer(plan.tokenization, plugins, plan.config.plugins)
    if request.tokenization not in (None, tokenizer.token_kind):
        ignored = f"--tokenization {request.tokenization} is ignored: the data set was made with "
        plan = evolve(plan, notices=(*plan.notices, ignored + tokenizer.token_kind))
    config = evolve(plan.config, vocab_size=tokenizer.vocab_size, device=str(device))
    model = LanguageModel(config, tokenizer, seed=plan.training.seed, plugins=plugins)
    model = _placed(model, plan, world, device)
    return _job(model, make_optimizer(model, plan.training), sources, plan, world)


def _fine_tuning_job(request: TrainRequest, name: str, plugins: Plugins, world: World) -> Job:
    base = open_checkpoint(find_checkpoint(name), plugins)
    plan = plan_from_base(request, base, name, plugins.layouts)
    device, sources = choose_device(plan.device), read_training_data(plan.training)
    model = start_from(base, evolve(plan.config, device=str(device)), plugins)
    lineage = lineage_of(base, name)
    model = _placed(model, plan, world, device)
    job = _job(model, make_optimizer(model, plan.training), sources, plan, world)
    about = f"Beginning with the weights of {base.path}, at its step {lineage[-1].step}"
    return evolve(job, lineage=lineage, notices=(about, *job.notices))


def _resumed_job(plan: Plan, opened: Opened, plugins: Plugins, world: World) -> Job:
    saved = opened.config.device
    wanted = plan.device or (saved if saved is not None and is_available(saved) else None)
    check_guards(plan.training, opened.needs, plugins, str(opened.path))
    model = model_to_train(evolve(opened, config=plan.config), plugins, LanguageModel)
    model = _placed(model, plan, world, choose_device(wanted))
    _refuse_unnamed_data(plan, opened.path)
    optimizer, step = resumed_optimizer(opened, model, plan.training), plan.training.start_step
    job = _job(model, optimizer, read_training_data(plan.training), plan, world)
    return evolve(
        job,
        previous=plan.previous,
        found=opened.manifest,
        doubts=(*opened.doubts, *plan.doubts),
        notices=(f"Resuming {opened.path} from step {step}", *job.notices),
    )


def _refuse_unnamed_data(plan: Plan, path: Path) -> None:
    """Keep a model from going on with a text that has nothing to do with it.

    A new model that names no data is trained on the standard library; a saved one was so only if
    it says so, and otherwise on a text given in Python, or by a program that did not note it.
    """
    training, state = plan.training, plan.previous
    if training.input_file or training.dataset_dir or training.curriculum:
        return
    if state is None or state.step == 0:
        return
    if state.data is None or not is_standard_library(state.data.source):
        source = None if state.data is None else state.data.source
        what = f"was trained on {source}" if source else "does not say what it was trained on"
        fix = "name the data to go on with, by --input_file or --dataset_dir"
        raise UsageError(Problem(str(path), "", what, fix, kind="data"))


def _placed(model: LanguageModel, plan: Plan, world: World, device: torch.device) -> LanguageModel:
    """Bring a model to the device of this process, or its part of it; one alone has all of it."""
    place, is_shared = world.place(device), plan.training.shard and world.size > 1
    return shard(model, world, place) if is_shared else model.to(place)


def _job(
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    sources: TrainingData,
    plan: Plan,
    world: World,
) -> Job:
    tokenizer, device = model.need_tokenizer(), next(model.parameters()).device
    phases = sources.load(model.config, tokenizer, plan.training)
    return Job(
        model=model,
        optimizer=optimizer,
        phases=phases,
        training=plan.training,
        eval_loaders=load_eval_sets(model.config, tokenizer, plan.training),
        notices=(*plan.notices, *_about(phases, tokenizer, device, plan.training.max_iters)),
        world=world,
    )


def _about(
    phases: Phases, tokenizer: Tokenizer, device: torch.device, max_iters: int
) -> Iterator[str]:
    data = phases.fingerprint
    yield (
        f"Data: {data.source}, {data.train_tokens:,} tokens to train on and {data.val_tokens:,} "
        f"to validate on ({tokenizer.token_kind}, {tokenizer.n_vocab} ids); device: {device}"
    )
    if len(phases.phases) > 1:
        last, begins = phases.phases[-1], phases.phases[-2].until_iter
        yield f"The validation loss is measured on the data of the last phase, {last.name}"
        if begins is not None and begins >= max_iters:
            yield f"That phase is never trained: it begins at {begins}, the run ends at {max_iters}"
