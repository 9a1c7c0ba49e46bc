"""Mean losses on held-out batches that are the same at every evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.evaluation.batch_loss import batch_loss
from mypt.engine.runtime.devices import autocast
from mypt.engine.runtime.world import ALONE
from mypt.model.mode import evaluation_mode
from mypt.plugins.contracts.guard import Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Literal

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer

# What the log keeps; gold is decided on the same numbers, so that the log leads to its decisions.
DECIMALS = 6


def count_batches(
    eval_loaders: Mapping[str, GPTDataLoader],
    training: TrainingConfig,
    world: World = ALONE,
    *,
    other_weights: int = 0,
) -> int:
    """Return how many batches one process measures in an evaluation.

    Args:
        eval_loaders: Further data sets, by name.
        training: Hyperparameters.
        world: The processes that share the batches.
        other_weights: At how many other weights of the model the validation loss is measured.
    """
    sets = 2 + len(eval_loaders) + other_weights
    return sets * -(-training.eval_iters // world.size)


class EvaluationStoppedError(Exception):
    """The run was asked to stop during an evaluation."""


def evaluate(
    model: Transformer,
    train: GPTDataLoader,
    held_out: GPTDataLoader,
    eval_loaders: Mapping[str, GPTDataLoader],
    training: TrainingConfig,
    step: int,
    stopped: Callable[[], bool] = lambda: False,
    world: World = ALONE,
    other_weights: Mapping[str, Callable[[], AbstractContextManager[None]]] | None = None,
) -> Evaluation:
    """Measure `eval_iters` batches of each split and set, without dropout.

    Args:
        model: The model; its mode is what it was afterwards.
        train: Whose training split is measured.
        held_out: Whose validation split is.
        eval_loaders: Further data sets, by name.
        training: Hyperparameters.
        step: Updates done.
        stopped: Called before each batch; the evaluation ends early if it returns true.
        world: The processes that share the batches.
        other_weights: Contexts in which the model has other weights, by the names under which its
            validation loss with them joins those of the further sets.

    Returns:
        Mean losses in nats per token, rounded to 6 decimals; NaN where nothing was to be learnt.

    Raises:
        EvaluationStoppedError: `stopped` returned true.
    """

    def loss(loader: GPTDataLoader, split: Literal["train", "val"]) -> float:
        return round(mean_loss(model, loader, split, training, stopped, world), DECIMALS)

    with evaluation_mode(model):
        train_loss, val_loss = loss(train, "train"), loss(held_out, "val")
        losses = {name: loss(other, "val") for name, other in eval_loaders.items()}
        for name, exchange in (other_weights or {}).items():
            with exchange():
                losses[name] = loss(held_out, "val")
    return Evaluation(step=step, train_loss=train_loss, val_loss=val_loss, eval_losses=losses)


@torch.no_grad()  # not inference_mode, whose tensors break a sharded model
def mean_loss(
    model: Transformer,
    loader: GPTDataLoader,
    split: Literal["train", "val"],
    training: TrainingConfig,
    stopped: Callable[[], bool] = lambda: False,
    world: World = ALONE,
) -> float:
    """Return the mean loss of `eval_iters` batches of one split.

    It is the mean over their targets, in nats per token, or over their pairs of answers; NaN where
    they have none.

    Raises:
        EvaluationStoppedError: `stopped` returned true.
    """
    device = next(model.parameters()).device
    sums = torch.zeros(2, dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    for first in range(0, training.eval_iters, world.size):
        if stopped():
            raise EvaluationStoppedError
        # Processes take turns; those left over at the end measure what does not count.
        index = min(first + world.rank, training.eval_iters - 1)
        batch = loader.eval_batch(split, training.seed, index)
        weight = batch.count_targets()
        with autocast(device, training):
            loss = batch_loss(model, batch.to(device), training)
        if weight > 0 and first + world.rank == index:
            sums[0] += loss.to(sums) * weight
            sums[1] += weight
    total, weight = world.total(sums)
    return float(total / weight)
