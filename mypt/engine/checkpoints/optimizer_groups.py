"""What an AdamW that mypt did not make says of itself, in the terms of the format."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.format.errors import ConfigError, Problem, format_count
from mypt.format.parameter_order import (
    RULES,
    cut_groups,
    follows_rule,
    optimizer_document,
    order_parameters,
    split_by_decay,
)
from mypt.format.rules.optimizer_state import form_problems, optimizer_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

    from mypt.format.documents.training import TrainingConfig
    from mypt.format.parameter_order import Rule

    Shapes = Mapping[str, tuple[int, ...]]

# The call that makes an optimizer which fits whatever the model is.
FITTING = (
    "make it with torch.optim.AdamW(model.parameters(), lr=..., betas=..., weight_decay=...), "
    "which decays all parameters alike"
)


@frozen(kw_only=True)
class Described:
    """The hyperparameters of an AdamW.

    Attributes:
        training: Those that are fields of `TrainingConfig`; `learning_rate` is the largest peak.
        own: Those of a parameter of its own, by name; see `mypt.format.parameter_order.Group`. None
            where a bundle cannot hold the groups.
    """

    training: Mapping[str, Any]
    own: Mapping[str, Mapping[str, float]] | None


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's parameters by name, in their order."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def describe_groups(
    groups: Iterable[tuple[Sequence[str], Mapping[str, Any]]],
    shapes: Shapes,
    where: str,
    rule: Rule | None = None,
) -> Described:
    """Describe the groups of an AdamW as a training config and a resume know them.

    Args:
        groups: Names and settings of each group.
        shapes: The model's parameters in their order; a tied head is not among them.
        where: What a message calls the optimizer.
        rule: `weight_decay_on` where it is asked for; it holds where no weight decay shows another.

    Raises:
        ConfigError: A bundle cannot hold them, so that no resume could go on with them.
    """
    filled = [(names, settings) for names, settings in groups if names]
    _check_parameters([*chain(*(names for names, _ in filled))], shapes, where)
    betas = {tuple(map(float, settings["betas"])) for _, settings in filled}
    decays = {float(settings["weight_decay"]) for _, settings in filled} - {0.0}
    for name, values in (("betas", betas), ("weight_decay", decays)):
        if len(values) > 1:
            listed = " and ".join(map(str, sorted(values)))
            raise _make_error(where, f"has groups with {name} {listed}; a bundle holds one for all")
    decayed = {n for names, settings in filled if settings["weight_decay"] for n in names}
    found = _find_decay_rule(decayed, shapes, rule)
    if found is None:
        what = f"decays {len(decayed)} parameters that no weight_decay_on names"
        raise _make_error(where, f"{what} ({_list_sizes(shapes)})")
    peaks = {peak_of(settings) for _, settings in filled}
    (beta1, beta2) = next(iter(betas))
    return Described(
        training={
            "learning_rate": max(peaks),
            "beta1": beta1,
            "beta2": beta2,
            "weight_decay": max(decays, default=0.0),
            "weight_decay_on": found,
        },
        own={
            name: _pick_own(settings, with_peak=len(peaks) > 1)
            for names, settings in filled
            for name in names
        },
    )


def describe_training(training: TrainingConfig) -> Described:
    """Describe the optimizer that mypt makes of a training config."""
    fields = ("learning_rate", "beta1", "beta2", "weight_decay", "weight_decay_on")
    return Described(training={name: getattr(training, name) for name in fields}, own=None)


def merge_described(described: Described, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the hyperparameters that are given with those of the optimizer.

    Args:
        described: The optimizer's.
        given: Fields of `TrainingConfig`; a `learning_rate` takes the place of the optimizer's.
        where: What a message calls the optimizer.

    Raises:
        ConfigError: Another one is given than the optimizer has.
    """
    problems = [
        Problem("", name, f"is {given[name]}, but the {where} has {value}", "leave it out")
        for name, value in described.training.items()
        if name != "learning_rate" and given.get(name, value) != value
    ]
    if problems:
        raise ConfigError(*problems)
    return {**described.training, **given}


def arrange_state(
    state: Mapping[str, Any], shapes: Shapes, rule: Rule | None
) -> tuple[dict[str, Any], Described]:
    """Return an optimizer's `state_dict()` in the order of `optimizer.pt`, and what it says.

    Its parameters are known by `param_names`, which torch keeps of an optimizer that was made
    with `model.named_parameters()`; or else it has one group, of `model.parameters()`, or a
    decayed and another one, each in the order of the model.

    Args:
        state: The state dict.
        shapes: The model's parameters in their order; a tied head is not among them.
        rule: `weight_decay_on` where it is asked for.

    Raises:
        ConfigError: It is not one of AdamW, or a bundle cannot hold it.
    """
    where = "optimizer_state"
    _raise_problems(form_problems(state, where))
    groups = state["param_groups"]
    names = _name_groups(groups, shapes, where)
    described = describe_groups(zip(names, groups, strict=True), shapes, where, rule)
    training = described.training
    listed = dict(zip(chain(*(g["params"] for g in groups)), chain(*names), strict=True))
    rates = {n: float(g["lr"]) for g, members in zip(groups, names, strict=True) for n in members}
    moments = {listed[index]: entry for index, entry in state["state"].items()}
    arranged = [
        (
            group.names,
            {
                "lr": rates[group.names[0]] if group.names else training["learning_rate"],
                "betas": (training["beta1"], training["beta2"]),
                "weight_decay": training["weight_decay"] if group.decays else 0.0,
                **group.own,
            },
        )
        for group in cut_groups(shapes, training["weight_decay_on"], described.own or {})
    ]
    document = optimizer_document(moments, arranged)
    _raise_problems(optimizer_problems(document, shapes, (training["weight_decay_on"],), where))
    return document, described


def _name_groups(
    groups: Sequence[Mapping[str, Any]], shapes: Shapes, where: str
) -> list[list[str]]:
    """Return the parameters of each group by name."""
    if all("param_names" in group for group in groups if group["params"]):
        return [list(group.get("param_names", ())) for group in groups]
    bare = [{"params": group["params"]} for group in groups]  # of two halves, or of one
    rule = next((rule for rule in RULES if follows_rule(bare, shapes, rule)), None)
    if rule is None:
        sizes = [len(group["params"]) for group in groups]
        what = f"has parameter groups of {sizes} tensors, of which nothing says which they are"
        raise _make_error(where, f"{what}; the model has {len(shapes)} ({_list_sizes(shapes)})")
    names = iter(order_parameters(shapes, rule))
    return [list(islice(names, len(group["params"]))) for group in groups]


def _check_parameters(names: Sequence[str], shapes: Shapes, where: str) -> None:
    """Raise if these are not a model's parameters, each once."""
    unknown = next((name for name in names if name not in shapes), None)
    if unknown is not None:
        raise _make_error(where, f"holds {unknown}, which is no parameter of the model")
    lacking = next((name for name in shapes if name not in names), None)
    if lacking is not None:
        what = f"holds {len(names)} of the model's {format_count(len(shapes), 'parameter')}"
        fix = "pass them all: one without a gradient (requires_grad_(False)) stays as it is"
        raise _make_error(where, f"{what}, not {lacking}", fix)


def _find_decay_rule(decayed: set[str], shapes: Shapes, rule: Rule | None) -> Rule | None:
    """Return the `weight_decay_on` that decays exactly these parameters, if there is one."""
    tried = RULES if rule is None else (rule, *RULES)
    if not decayed:  # with a decay of 0 all rules are the same
        return tried[0]
    return next((r for r in tried if {*split_by_decay(shapes, r)[0]} == decayed), None)


def _pick_own(settings: Mapping[str, Any], *, with_peak: bool) -> dict[str, float]:
    own = {"eps": float(settings["eps"])}
    if with_peak:
        own["initial_lr"] = peak_of(settings)
    return own


def peak_of(settings: Mapping[str, Any]) -> float:
    """Return the peak learning rate of a group, which torch's schedulers keep as `initial_lr`."""
    return float(settings.get("initial_lr", settings["lr"]))


def _list_sizes(shapes: Shapes) -> str:
    return ", ".join(f"{len(split_by_decay(shapes, rule)[0])} by {rule}" for rule in RULES)


def _make_error(where: str, what: str, fix: str = FITTING) -> ConfigError:
    return ConfigError(Problem("", where, what, fix, kind="optimizer.groups"))


def _raise_problems(problems: Iterable[Problem]) -> None:
    fix = f"{FITTING}; or save without it"
    found = [evolve(p, file="", where=f"{p.file} {p.where}".strip(), fix=fix) for p in problems]
    if found:
        raise ConfigError(*found)
