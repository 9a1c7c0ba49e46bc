"""Groups of parameters for torch: those that weight decay applies to, and the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.optimizers.adamw import cut_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from mypt.format.documents.training import TrainingConfig


def make_groups(
    parameters: Mapping[str, nn.Parameter],
    training: TrainingConfig,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """Return the groups of an optimizer that differ in weight decay, and in what is their own.

    Args:
        parameters: The parameters by name; frozen ones are included.
        training: Hyperparameters.
        own: Settings of their own by parameter; see `mypt.format.optimizers.adamw.Group`.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    return [
        {
            "params": [parameters[name] for name in group.names],
            "param_names": group.names,  # as torch keeps them of named parameters
            "weight_decay": training.weight_decay if group.decays else 0.0,
            **group.own,
        }
        for group in cut_groups(shapes, training.weight_decay_on, own or {})
    ]
