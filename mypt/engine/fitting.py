"""`GPT.fit`: training as a library call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.engine.memory import TRAINING, sparing
from mypt.engine.opening import doubts_of, is_bundle
from mypt.engine.optimizer import make_optimizer
from mypt.engine.options import checked_training
from mypt.engine.phases import Phases
from mypt.engine.places import log_file_of
from mypt.engine.training import Job, train
from mypt.format.bundle import read_bundle
from mypt.format.documents import TrainingConfig, TrainingState
from mypt.format.generations import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from mypt.data.loader import GPTDataLoader
    from mypt.engine.gpt import GPT


@sparing(TRAINING)
def fit(
    model: GPT,
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

    Going on at `start_step` in a folder whose bundle is at that step takes its progress and the
    gold guards' memory over, as the command line does. The model is in evaluation mode afterwards.
    """
    previous, doubts = _previous(model, checkpoint_dir, start_step)
    if optimizer is not None and "learning_rate" not in given:
        given = {**given, "learning_rate": float(optimizer.param_groups[0]["lr"])}
    saved = TrainingConfig() if previous is None else previous.training_config
    training = evolve(checked_training(given, saved), start_step=start_step)
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


def _previous(
    model: GPT, folder: Path | None, start_step: int
) -> tuple[TrainingState | None, tuple[str, ...]]:
    """Give the state to go on from, and why that may not be exact."""
    if start_step == 0:
        return None, ()
    if folder is not None and is_bundle(folder):
        bundle = read_bundle(folder, model.plugins.layouts)
        state = bundle.training_state
        if state is not None and state.step == start_step:
            return state, tuple(doubts_of(bundle))
    return TrainingState(step=start_step), ()
