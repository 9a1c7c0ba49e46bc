"""A state dict of an optimizer that mypt did not make, as the content of `optimizer.pt`."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.engine.config.overrides import override_training
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.given import (
    FITTING,
    Described,
    describe_groups,
    find_other_settings,
    make_group_error,
)
from mypt.engine.optimizers.peaks import peak_of
from mypt.engine.optimizers.tracked import describe_settings, parameters_of
from mypt.format.errors import ConfigError
from mypt.format.optimizers.adamw import ADAMW, NAME, cut_groups
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.indices import follows_rule, order_parameters
from mypt.format.optimizers.parameter_rules import RULES, split_by_decay
from mypt.format.rules.optimizers.indexed import indexed_form_problems
from mypt.format.rules.optimizers.state import form_problems, optimizer_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypt.format.documents.training import TrainingConfig
    from mypt.format.errors import Problem
    from mypt.model.transformer import Transformer

    Groups = list[tuple[list[str], Mapping[str, Any]]]
    Shapes = Mapping[str, tuple[int, ...]]

_WHERE = "optimizer_state"
_FIX = f"{FITTING}; or save without it"
_OTHER_FIX = "pass training_config with the optimizer and the optimizer_options that made it"


@frozen
class _Named:
    """A state by the names of parameters.

    Attributes:
        groups: Names and settings of each group.
        state: What is kept, by name.
    """

    groups: Groups
    state: dict[str, Mapping[str, Any]]


def arrange_state(
    state: Mapping[str, Any],
    model: Transformer,
    given: Mapping[str, Any],
    saved: TrainingConfig,
) -> tuple[dict[str, Any], Described]:
    """Return an optimizer's `state_dict()` as the content of `optimizer.pt`, and what it says.

    Its parameters are known by `param_names`, which torch keeps of an optimizer that was made
    with `model.named_parameters()`. Or else their groups are those that a resume builds, in that
    order: of AdamW one, of `model.parameters()`, or a decayed and another one.

    Args:
        state: The state dict; or what mypt itself read from a file.
        model: The model.
        given: Fields of `TrainingConfig` that are asked for; `optimizer` says whose state it is.
        saved: Values of the other fields.

    Raises:
        ConfigError: It is not one of that optimizer, or a bundle cannot hold it.
        PluginError: No plugin offers the optimizer.
    """
    optimizer = state.get("optimizer", given.get("optimizer", NAME))
    if optimizer == NAME:
        return _arrange_adamw(state, model, given)
    return _arrange_other(state, model, optimizer, given, saved)


def _arrange_adamw(
    state: Mapping[str, Any], model: Transformer, given: Mapping[str, Any]
) -> tuple[dict[str, Any], Described]:
    parameters = parameters_of(model)
    shapes = {name: parameter.shape for name, parameter in parameters.items()}
    is_named = "optimizer" in state
    _raise_problems((form_problems if is_named else indexed_form_problems)(state, _WHERE))
    named = _read_named(state) if is_named else _name_adamw(state, shapes)
    described = describe_groups(named.groups, shapes, _WHERE, given.get("weight_decay_on"))
    training = described.training
    rates = {name: float(group["lr"]) for names, group in named.groups for name in names}
    groups = [
        (
            group.names,
            {
                "lr": rates[group.names[0]],
                "betas": (training["beta1"], training["beta2"]),
                "weight_decay": training["weight_decay"] if group.decays else 0.0,
                **group.own,
            },
        )
        for group in cut_groups(shapes, training["weight_decay_on"], described.own or {})
    ]
    document = optimizer_document(NAME, named.state, groups)
    _raise_problems(optimizer_problems(document, parameters, ADAMW, _WHERE))
    return document, described


def _name_adamw(state: Mapping[str, Any], shapes: Shapes) -> _Named:
    """Return the state of an AdamW by the names of parameters, without other tensors."""
    groups = state["param_groups"]
    names = _read_names(groups)
    if names is None:
        bare = [{"params": group["params"]} for group in groups]  # of two halves, or of one
        rule = next((rule for rule in RULES if follows_rule(bare, shapes, rule)), None)
        if rule is None:
            sizes = [len(group["params"]) for group in groups]
            what = f"has parameter groups of {sizes} tensors, of which nothing says which they are"
            listed = ", ".join(f"{len(split_by_decay(shapes, r)[0])} by {r}" for r in RULES)
            raise make_group_error(_WHERE, f"{what}; the model has {len(shapes)} ({listed})")
        order = iter(order_parameters(shapes, rule))
        names = [list(islice(order, len(group["params"]))) for group in groups]
    kept = ("step", "exp_avg", "exp_avg_sq")
    named = _join(groups, names, state["state"])
    return _Named(
        named.groups, {name: {k: entry[k] for k in kept} for name, entry in named.state.items()}
    )


def _arrange_other(
    state: Mapping[str, Any],
    model: Transformer,
    name: str,
    given: Mapping[str, Any],
    saved: TrainingConfig,
) -> tuple[dict[str, Any], Described]:
    factory, groups = model.plugins.optimizer(name), _find_groups(state)
    rate = max(peak_of(group) for group in groups if group["params"])
    asked = {"learning_rate": rate, **given, "optimizer": name}
    training = override_training(asked, saved)
    built = make_optimizer(model, training)
    names_of = {parameter: name for name, parameter in model.named_parameters()}
    if "optimizer" in state:
        named = _read_named(state)
    else:
        names = _read_names(groups) or [
            [names_of[parameter] for parameter in group["params"]] for group in built.param_groups
        ]
        if [len(listed) for listed in names] != [len(group["params"]) for group in groups]:
            what = f"has groups of {[len(group['params']) for group in groups]} tensors"
            wanted = [len(listed) for listed in names]
            raise make_group_error(_WHERE, f"{what}; {name} makes {wanted}", _OTHER_FIX)
        named = _join(groups, names, state["state"])
    difference = find_other_settings(named.groups, built, names_of, factory)
    if difference is not None:
        said = f"{difference} by the optimizer {name}, which a resume builds"
        raise make_group_error(_WHERE, said, _OTHER_FIX)
    listed = [
        (names, {"lr": group["lr"], **describe_settings(group, factory)})
        for names, group in named.groups
    ]
    document = optimizer_document(name, named.state, listed)
    _raise_problems(optimizer_problems(document, parameters_of(model), factory.declaration, _WHERE))
    fields = ("optimizer", "optimizer_options", "learning_rate")
    return document, Described(training={field: getattr(training, field) for field in fields})


def _find_groups(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    match state:
        case {"state": dict(), "param_groups": [{"params": [*_], "lr": _}, *_] as groups}:
            return list(groups)
    raise make_group_error(_WHERE, "is not the `state_dict()` of an optimizer", _OTHER_FIX)


def _read_named(state: Mapping[str, Any]) -> _Named:
    groups = [([*group["params"]], group) for group in state["param_groups"]]
    return _Named(groups, dict(state["state"]))


def _read_names(groups: Sequence[Mapping[str, Any]]) -> list[list[str]] | None:
    """Return the names that torch keeps of each group's parameters; None where it has none."""
    if all("param_names" in group for group in groups if group["params"]):
        return [list(group.get("param_names", ())) for group in groups]
    return None


def _join(
    groups: Sequence[Mapping[str, Any]],
    names: Sequence[list[str]],
    state: Mapping[int, Mapping[str, Any]],
) -> _Named:
    """Return a state with indices by names."""
    numbers = chain.from_iterable(group["params"] for group in groups)
    listed = dict(zip(numbers, chain.from_iterable(names), strict=True))
    return _Named(
        list(zip(names, groups, strict=True)),
        {listed[index]: entry for index, entry in state.items()},
    )


def _raise_problems(problems: Iterable[Problem]) -> None:
    found = [evolve(p, file="", where=f"{p.file} {p.where}".strip(), fix=_FIX) for p in problems]
    if found:
        raise ConfigError(*found)
