"""AdamW over decay and no-decay groups, in an order that every version of MyPT shares."""

from __future__ import annotations

from contextlib import contextmanager
from inspect import unwrap
from typing import TYPE_CHECKING, Any

import torch

from mypt.engine.checkpoints.optimizer_groups import (
    FITTING,
    describe_groups,
    peak_of,
    shapes_of,
)
from mypt.engine.runtime.fsdp import local_part
from mypt.format.errors import ConfigError, Problem
from mypt.format.parameter_order import cut_groups, order_parameters, own_settings
from mypt.format.rules.optimizer_state import foreign_algorithm
from mypt.model.torch_private import AdamW

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from torch import nn

    from mypt.engine.checkpoints.optimizer_groups import Described
    from mypt.engine.checkpoints.saver import OptimizerState
    from mypt.format.documents.training import TrainingConfig
    from mypt.format.parameter_order import Rule

Groups = list[dict[str, Any]]


def make_optimizer(
    model: nn.Module,
    training: TrainingConfig,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> AdamW:
    """Build AdamW with groups that weight decay applies to and groups that it does not.

    Their order is part of the format: `optimizer.pt` knows parameters by index alone. There are
    two of them unless parameters have hyperparameters of their own.

    Args:
        model: The model; frozen parameters are included, have no gradient, and stay.
        training: Hyperparameters.
        own: Hyperparameters of their own by parameter; see `mypt.format.parameter_order.Group`.

    Source: Loshchilov and Hutter 2019 (decoupled weight decay).
    """
    named = dict(model.named_parameters())
    groups = cut_groups(shapes_of(model), training.weight_decay_on, own or {})
    return AdamW(
        [
            {
                "params": [named[name] for name in group.names],
                "param_names": group.names,  # as torch keeps them of named parameters
                "weight_decay": training.weight_decay if group.decays else 0.0,
                **group.own,
            }
            for group in groups
        ],
        lr=training.learning_rate,
        betas=(training.beta1, training.beta2),
        fused=True,  # torch's default loops over tensors: 4 to 6 times slower on CPU
    )


def restore_optimizer(
    model: nn.Module, training: TrainingConfig, state: Mapping[str, Any], rule: Rule
) -> AdamW:
    """Build the AdamW that goes on from a saved state, in the grouping of the run that begins.

    Learning rate, betas and weight decay are those of `training`. Other hyperparameters, and how
    the groups' learning rates relate, are those of the state.

    Args:
        model: The model that the state belongs to.
        training: Hyperparameters of the run that begins.
        state: A state without `mypt.format.rules.optimizer_state.optimizer_problems`.
        rule: `weight_decay_on` that it was saved with.
    """
    shapes, named = shapes_of(model), dict(model.named_parameters())
    before = order_parameters(shapes, rule)
    own = own_settings(state["param_groups"], before)
    optimizer = make_optimizer(model, training, own)
    after = order_parameters(shapes, training.weight_decay_on)
    numbers = {name: number for number, name in enumerate(after)}
    parts = {}
    for index, entry in state["state"].items():
        name = before[index]
        kept = ((key, entry[key]) for key in ("step", "exp_avg", "exp_avg_sq"))
        parts[numbers[name]] = {key: local_part(value, named[name]) for key, value in kept}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": parts, "param_groups": groups})
    if any("initial_lr" in group for group in optimizer.param_groups):  # rates of their own
        set_peaks(optimizer, training.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
    return optimizer


def optimizer_state(optimizer: torch.optim.Optimizer) -> OptimizerState:
    """Return the state to save: what AdamW's rule needs, not how torch computes it."""
    state = optimizer.state_dict()
    kept = ["lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "params"]
    peaks = {group.get("initial_lr") for group in state["param_groups"] if group["params"]}
    if len(peaks) > 1:
        kept.insert(1, "initial_lr")
    groups = [{key: group[key] for key in kept if key in group} for group in state["param_groups"]]
    return {"state": state["state"], "param_groups": groups}


def moments_to_come(
    optimizer: torch.optim.Optimizer, trained: Collection[nn.Parameter]
) -> dict[int, dict[str, torch.Tensor]]:
    """Return the `state` that AdamW will have after an update, as tensors without memory.

    Args:
        optimizer: The optimizer, which may have moments.
        trained: The parameters that get gradients.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for index, parameter in enumerate(parameters):
        if parameter in trained or parameter in optimizer.state:
            like = torch.empty(parameter.shape, dtype=parameter.dtype, device="meta")
            step = torch.empty((), device="meta")
            moments[index] = {"step": step, "exp_avg": like, "exp_avg_sq": like}
    return moments


def set_peaks(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set each group's `initial_lr`, the peak of its schedule; their ratios stay.

    Args:
        optimizer: The `initial_lr` of a group, or else its `lr`, is relative to the others'.
        learning_rate: The largest peak of any group.
    """
    groups = optimizer.param_groups
    rates, top = [peak_of(group) for group in groups], largest_peak(optimizer)
    for group, rate in zip(groups, rates, strict=True):
        same = rate == top or not group["params"]
        group["initial_lr"] = learning_rate if same else rate * (learning_rate / top)


def largest_peak(optimizer: torch.optim.Optimizer) -> float:
    """Return the largest peak learning rate of any group that has parameters."""
    return max(peak_of(group) for group in optimizer.param_groups if group["params"])


def describe_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, rule: Rule | None
) -> Described:
    """Describe an optimizer of a model.

    Args:
        optimizer: One that `check_optimizer` takes.
        model: The model.
        rule: `weight_decay_on` where it is asked for.

    Raises:
        ConfigError: A bundle cannot hold its groups, so that no resume could go on with them.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = [
        ([names[parameter] for parameter in group["params"]], group)
        for group in optimizer.param_groups
    ]
    return describe_groups(groups, shapes_of(model), "optimizer", rule)


def check_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Raise if an optimizer is not one of a model, or makes other updates than AdamW.

    Raises:
        ConfigError: It holds tensors that are not the model's, is of another class, changes what a
            step does, or has amsgrad or maximize.
    """
    kind, adamw = type(optimizer), torch.optim.AdamW
    what = next(filter(None, map(foreign_algorithm, optimizer.param_groups)), None)
    if not issubclass(kind, adamw) or unwrap(kind.step) is not unwrap(adamw.step):
        what = f"is {kind.__name__}, but mypt trains and resumes with AdamW alone"
    if what is not None:
        fix = f"{FITTING}, or leave it out"
        raise ConfigError(Problem("", "optimizer", what, fix, kind="optimizer.algorithm"))
    known = set(model.parameters())
    if any(
        parameter not in known for group in optimizer.param_groups for parameter in group["params"]
    ):
        what = "holds tensors that are not parameters of this model"
        raise ConfigError(Problem("", "optimizer", what, FITTING, kind="optimizer.groups"))


@contextmanager
def lend_groups(optimizer: torch.optim.Optimizer, groups: Groups) -> Iterator[None]:
    """Let an optimizer work with other groups for a while; its own come back unchanged.

    So a run may set the learning rates of its schedule, and the next one begins at the peak too.

    Args:
        optimizer: An AdamW.
        groups: Groups of the same parameters, or of some of them.
    """
    own = optimizer.param_groups
    for group in groups:
        for parameter in group["params"]:
            entry = optimizer.state.get(parameter)
            if entry and group.get("fused"):  # which wants it where the parameter is
                entry["step"] = torch.as_tensor(entry["step"], dtype=torch.float32).to(
                    parameter.device
                )
    optimizer.param_groups = groups
    try:
        yield
    finally:
        optimizer.param_groups = own
