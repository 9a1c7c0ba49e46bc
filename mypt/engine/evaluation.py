"""Mean losses on held-out batches that are the same at every evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.devices import autocast
from mypt.plugins.contracts import Evaluation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from mypt.data.loader import GPTDataLoader
    from mypt.format.documents import TrainingConfig
    from mypt.model.transformer import Transformer


def evaluate(
    model: Transformer,
    loader: GPTDataLoader,
    eval_loaders: Mapping[str, GPTDataLoader],
    training: TrainingConfig,
    step: int,
) -> Evaluation:
    """Measure `eval_iters` batches of each split and set, without dropout.

    Returns:
        Mean losses in nats per token. The model is left in training mode.
    """
    model.eval()
    evaluation = Evaluation(
        step=step,
        train_loss=mean_loss(model, loader, "train", training),
        val_loss=mean_loss(model, loader, "val", training),
        eval_losses={
            name: mean_loss(model, other, "val", training) for name, other in eval_loaders.items()
        },
    )
    model.train()
    return evaluation


@torch.inference_mode()
def mean_loss(
    model: Transformer,
    loader: GPTDataLoader,
    split: Literal["train", "val"],
    training: TrainingConfig,
) -> float:
    """Give the mean loss of `eval_iters` batches of one split, in nats per token."""
    device = next(model.parameters()).device
    total = torch.zeros((), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    for index in range(training.eval_iters):
        x, y = loader.eval_batch(split, training.seed, index)
        with autocast(device, training):
            total += model.loss(x.to(device), y.to(device)).to(total.device)
    return float(total / training.eval_iters)
