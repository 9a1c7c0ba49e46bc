"""Carry AdamW's moments over from indices to new names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.errors import FormatError, Problem, has_errors
from mypt.format.layout import trainable_shapes
from mypt.format.optimizers.adamw import ADAMW, MOMENTS, NAME, foreign_algorithm
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.indices import order_parameters
from mypt.format.optimizers.parameter_rules import split_by_decay
from mypt.format.rules.optimizers.kinds import ALGORITHM, FIX
from mypt.format.schema.check import check_document
from mypt.format.storage import files
from mypt.format.tensors.transforms import join_rows
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """Return the optimizer state by the names of version 2, keeping its settings.

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
    return arrange_moments(joined, shapes, rule, groups)


def arrange_moments(
    moments: Mapping[str, Mapping[str, Any]],
    shapes: Mapping[str, tuple[int, ...]],
    rule: str,
    groups: Sequence[Mapping[str, Any]],
    file: str = files.OPTIMIZER,
) -> dict[str, Any]:
    """Return the content of `optimizer.pt` of moments, in groups by a rule of weight decay.

    Args:
        moments: By the names of version 2; parameters may be missing.
        shapes: The model's parameters in their order; a tied head is not among them.
        rule: What weight decay applies to.
        groups: The groups of another program, of which the first decays; it may be the only one.
        file: Name of the file, for messages.

    Raises:
        FormatError: They are not those of an AdamW as mypt has it.
    """
    for number, group in enumerate(groups):
        if (what := foreign_algorithm(group)) is not None:
            raise FormatError(Problem(file, f"param_groups.{number}", what, FIX, kind=ALGORITHM))
    kept = ("lr", *ADAMW.settings)
    settings = [{k: group[k] for k in kept if k in group} for group in (groups[0], groups[-1])]
    halves = split_by_decay(shapes, rule)
    return optimizer_document(NAME, moments, zip(halves, settings, strict=True))


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
    joined = {key: join_rows([part[key] for part in parts]) for key in MOMENTS}
    return {"step": parts[0]["step"], **joined}
