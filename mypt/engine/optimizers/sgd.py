"""Stochastic gradient descent; weight decay is added to the gradients, as torch does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.optimizers.groups import make_groups
from mypt.format.errors import ConfigError, Problem
from mypt.format.optimizers.options import fill_options
from mypt.format.optimizers.sgd import OPTIONS
from mypt.model.torch_private import SGD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from mypt.format.documents.training import TrainingConfig


def build_sgd(parameters: Mapping[str, nn.Parameter], training: TrainingConfig) -> SGD:
    """Build stochastic gradient descent.

    Args:
        parameters: The parameters by name; frozen ones are included, have no gradient, and stay.
        training: Hyperparameters.

    Raises:
        ConfigError: Nesterov momentum is asked for without a momentum, or with dampening.
    """
    options = fill_options(OPTIONS, training.optimizer_options)
    if options["nesterov"] and (not options["momentum"] or options["dampening"]):
        what = "is true, but Nesterov momentum needs a momentum above 0 and no dampening"
        fix = "set momentum, such as 0.9, and leave dampening out"
        raise ConfigError(Problem("", "optimizer_options/nesterov", what, fix))
    return SGD(make_groups(parameters, training), lr=training.learning_rate, **options)
