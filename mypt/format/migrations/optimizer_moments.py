"""Carry AdamW's moments over to new names and a new parameter order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.errors import FormatError, Problem, has_errors
from mypt.format.layout import trainable_shapes
from mypt.format.parameter_order import optimizer_document, order_parameters, split_by_decay
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.tensors.transforms import join_rows
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.migrations.fuse_heads import Sources


def infer_decay_rule(optimizer: Mapping[str, Any]) -> str:
    """Return the decay rule of a release: one group means everything, two mean mypt's rule."""
    return "all" if len(optimizer["param_groups"]) == 1 else "linear"


def migrate_optimizer(
    optimizer: Mapping[str, Any],
    tensors: Mapping[str, Any],
    sources: Sources,
    *,
    tied: bool,
) -> dict[str, Any]:
    """Return the optimizer state in the order of version 2, keeping its settings.

    Args:
        optimizer: AdamW state dict of version 1, with one or two groups.
        tensors: Weights of version 1 without buffers, in parameter order.
        sources: Which of them make up each tensor of version 2.
        tied: Whether `lm_head.weight` is the embedding and has no moments.

    Raises:
        FormatError: The state does not belong to these weights.
    """
    rule, groups = infer_decay_rule(optimizer), optimizer["param_groups"]
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    old = trainable_shapes(stored, tied=tied)
    order = order_parameters(old, rule)
    total = sum(len(group["params"]) for group in groups)
    if total != len(order):
        what = f"has {total} parameters, but the model has {len(order)}"
        raise FormatError(Problem(files.OPTIMIZER, "", what, "remove it, or restore its model"))
    moments = {order[index]: state for index, state in optimizer["state"].items()}
    new = {name: parts for name, parts in sources.items() if parts[0] in old}
    joined = {
        name: _join_moments([moments[part] for part in parts])
        for name, parts in new.items()
        if all(part in moments for part in parts)
    }
    shapes = {name: old[parts[0]] for name, parts in new.items()}
    halves = split_by_decay(shapes, rule)
    return optimizer_document(joined, zip(halves, (groups[0], groups[-1]), strict=True))


def optimizer_settings(optimizer: Mapping[str, Any], file: str = files.OPTIMIZER) -> dict[str, Any]:
    """Return the settings of an optimizer state as fields of `training_config`.

    Args:
        optimizer: AdamW state dict.
        file: Name of the file it comes from, for messages.

    Raises:
        FormatError: No training can have them.
    """
    first = optimizer["param_groups"][0]
    beta1, beta2 = first["betas"]
    settings = {
        "weight_decay": first["weight_decay"],
        "weight_decay_on": infer_decay_rule(optimizer),
        "beta1": beta1,
        "beta2": beta2,
        "learning_rate": first["lr"],
    }
    state = {"format_version": FORMAT_VERSION, "step": 0, "training_config": settings}
    problems = check_document("training_state", state, file)
    if has_errors(problems):
        raise FormatError(
            *(evolve(problem, where="the optimizer state", file=file) for problem in problems)
        )
    return settings


def _join_moments(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Concatenate the moments of the parts as their weights are concatenated."""
    joined = {key: join_rows([part[key] for part in parts]) for key in ("exp_avg", "exp_avg_sq")}
    return {"step": parts[0]["step"], **joined}
