"""Build the optimizer of a run: a fresh one, or one that goes on from what was saved."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from mypt.engine.optimizers.adamw import build_adamw
from mypt.engine.optimizers.peaks import scale_peaks
from mypt.engine.optimizers.tracked import TrackedOptimizer, refuse_optimizer
from mypt.format.optimizers.adamw import NAME, own_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer

Groups = list[dict[str, Any]]


def make_optimizer(
    model: Transformer,
    training: TrainingConfig,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> torch.optim.Optimizer:
    """Build the optimizer that a training config names, over all parameters of a model.

    Args:
        model: The model; frozen parameters are included, have no gradient, and stay.
        training: Hyperparameters.
        own: Of AdamW, hyperparameters of their own by parameter; see
            `mypt.format.optimizers.adamw.Group`.

    Raises:
        PluginError: No plugin offers the optimizer, or what it builds is not of these parameters.
        ConfigError: Its plugin refuses the hyperparameters.
    """
    named, name = dict(model.named_parameters()), training.optimizer
    if name == NAME:
        return build_adamw(named, training, own)
    optimizer = model.plugins.optimizer(name).build(named, training)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if len(held) != len(named) or {*held} != {*named.values()}:
        what = f"has {len(held)} parameters in its groups, and not each of the model's once"
        raise refuse_optimizer(name, model.plugins, what)
    return optimizer


def continue_optimizer(
    model: Transformer, training: TrainingConfig, saved: Mapping[str, Any] | None
) -> torch.optim.Optimizer:
    """Build an optimizer that goes on from a state, as far as it fits.

    The hyperparameters are those of `training`; of AdamW, those that it does not have, and how the
    groups' learning rates relate, are those of the state. Where the state is of another optimizer,
    what is kept for a parameter goes on if all that this one keeps for it is there, in its shape
    and dtype; the rest begins anew.

    Args:
        model: The model, whose state it is.
        training: Hyperparameters of the run that begins.
        saved: Content of an `optimizer.pt`; None to begin afresh.
    """
    if saved is None:
        return make_optimizer(model, training)
    is_adamw = training.optimizer == saved["optimizer"] == NAME
    own = own_settings(saved["param_groups"]) if is_adamw else {}
    optimizer = make_optimizer(model, training, own)
    TrackedOptimizer(optimizer, model, training.optimizer).restore(saved)
    if any("initial_lr" in settings for settings in own.values()):  # rates of their own
        scale_peaks(optimizer, training.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
    return optimizer


@contextmanager
def lend_groups(optimizer: torch.optim.Optimizer, groups: Groups) -> Iterator[None]:
    """Let an optimizer work with other groups for a while; its own come back unchanged.

    So a run may set the learning rates of its schedule, and the next one begins at the peak too.

    Args:
        optimizer: The optimizer.
        groups: Groups of the same parameters, or of some of them.
    """
    own = optimizer.param_groups
    for group in groups:
        for parameter in group["params"]:
            entry = optimizer.state.get(parameter)
            if entry and group.get("fused") and "step" in entry:  # where the parameter is
                entry["step"] = torch.as_tensor(entry["step"], dtype=torch.float32).to(
                    parameter.device
                )
    optimizer.param_groups = groups
    try:
        yield
    finally:
        optimizer.param_groups = own
