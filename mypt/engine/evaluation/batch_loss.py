"""The loss of a batch: that of its tokens, or that of its pairs of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from mypt.data.batches.batch import PairBatch

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.data.batches.batch import Batch
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer
    from mypt.plugins.contracts.training import TokenLoss


def batch_loss(
    model: Transformer,
    batch: Batch,
    training: TrainingConfig,
    token_loss: TokenLoss | None = None,
) -> Tensor:
    """Compute the loss of a batch.

    Args:
        model: The model, on the device of the batch.
        batch: The batch.
        training: Hyperparameters.
        token_loss: What is made small of each token; None for the cross entropy. Not of pairs.

    Returns:
        Scalar: the mean over the targets in nats per token, or over the pairs.
    """
    if not isinstance(batch, PairBatch):
        return model.loss(batch.x, batch.y, batch.mask, token_loss, segments=batch.segments)
    likelihoods = model.log_likelihoods(batch.x, batch.y, batch.mask)
    return preference_loss(likelihoods, batch.reference, training.dpo_beta)


def preference_loss(likelihoods: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Compute the loss of pairs of answers, which is log 2 for the reference itself.

    Args:
        likelihoods: Log-likelihoods of the answers in nats, (2P,) floating: of the chosen one of a
            pair and then of the rejected one.
        reference: The difference of the two to the model that is compared with, (P,).
        beta: How much a difference from that model costs, above 0.

    Returns:
        Scalar, the mean over the pairs.

    Source: Rafailov et al. 2023, "Direct Preference Optimization", equation 7.
    """
    chosen, rejected = likelihoods.view(-1, 2).unbind(1)
    return -F.logsigmoid(beta * (chosen - rejected - reference)).mean()
