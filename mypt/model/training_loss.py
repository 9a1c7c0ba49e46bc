"""Build what training makes small, and check that the head of the model computes it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.plugin_settings import LOSS
from mypt.plugins.nn.token_loss import CrossEntropy

if TYPE_CHECKING:
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer
    from mypt.plugins.contracts.training import TokenLoss
    from mypt.plugins.parts import HeadPart

_ARGUMENT = "token_loss"


def build_loss(model: Transformer, training: TrainingConfig) -> TokenLoss | None:
    """Build the loss that the hyperparameters name.

    Returns:
        None for the plain cross entropy, which each head has.

    Raises:
        ConfigError: The head of the model computes no other loss than the cross entropy.
        PluginError: No plugin offers the loss, or it fails.
    """
    loss = model.plugins.loss(training.loss).build(training.loss_options)
    if loss == CrossEntropy():
        return None
    if not takes_token_loss(model.lm_head):
        head, options = model.config.head_type, "" if not training.loss_options else " with options"
        what = f"is {training.loss}{options}, but head_type `{head}` trains on cross_entropy alone"
        fix = f"leave loss and loss_options out, or have its `loss` take `{_ARGUMENT}`"
        raise ConfigError(Problem("", LOSS, what, fix, kind="loss.head"))
    return loss


def takes_token_loss(head: HeadPart) -> bool:
    """Return whether a head computes other losses than the cross entropy."""
    return _ARGUMENT in inspect.signature(head.loss).parameters
