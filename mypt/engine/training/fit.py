"""`GPT.fit`: training as a library call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.data.curriculum import Phases
from mypt.engine.checkpoints.paths import log_file_of
from mypt.engine.config.overrides import inherited_training, override_training
from mypt.engine.runtime.out_of_memory import TRAINING, explain_oom
from mypt.engine.training.optimizer import make_optimizer
from mypt.engine.training.run import train
from mypt.engine.training.trainer import Job
from mypt.format.bundle.detect import classify
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.format.open import list_doubts
from mypt.format.storage.generations import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.language_model import LanguageModel


@explain_oom(TRAINING)
def fit(
    model: LanguageModel,
    loader: GPTDataLoader,
    optimizer: torch.optim.Optimizer | None,
    given: Mapping[str, Any],
    *,
    checkpoint_dir: Path | None,
    start_step: int,
    eval_loaders: Mapping[str, GPTDataLoader],
    quiet: bool,
) -> TrainingState:
    """Train a model; see `GPT.fit`.

    Resuming at `start_step` in a folder whose bundle is at that step takes over its progress and
    the gold guards' memory, as the command line does. The model is in evaluation mode afterwards.
    """
    previous, doubts = _find_previous(model, checkpoint_dir, start_step)
    if optimizer is not None and "learning_rate" not in given:
        given = {**given, "learning_rate": float(optimizer.param_groups[0]["lr"])}
    saved = TrainingConfig() if previous is None else inherited_training(previous)
    training = evolve(override_training(given, saved), start_step=start_step)
    log_file = found = None
    if checkpoint_dir is not None:
        found = read_manifest(checkpoint_dir)
        log_file = log_file_of(training, checkpoint_dir.name)
    job = Job(
        model=model,
        optimizer=make_optimizer(model, training) if optimizer is None else optimizer,
        phases=Phases.single(loader),
        training=training,
        previous=previous,
        doubts=doubts,
        folder=checkpoint_dir,
        found=found,
        log_file=log_file,
        eval_loaders=eval_loaders,
        quiet=quiet,
    )
    state = train(job)
    model.eval()
    return state


def _find_previous(
    model: LanguageModel, folder: Path | None, start_step: int
) -> tuple[TrainingState | None, tuple[str, ...]]:
    """Return the state to resume from, and why that may not be exact."""
    if start_step == 0:
        return None, ()
    if folder is not None and classify(folder) == "bundle":
        bundle = read_bundle(folder, model.plugins.layouts)
        bundle.check_flaws()
        state = bundle.training_state
        if state is not None and state.step == start_step:
            return state, tuple(list_doubts(bundle))
    return TrainingState(step=start_step), ()
