"""What an optimizer that mypt did not make says of itself, in the terms of the format."""

from __future__ import annotations

from inspect import unwrap
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen

from mypt.engine.config.overrides import override_training
from mypt.engine.optimizers.peaks import largest_peak, peak_of
from mypt.format.errors import ConfigError, MyptError, Problem, format_count
from mypt.format.optimizers.adamw import NAME, foreign_algorithm
from mypt.format.optimizers.parameter_rules import RULES, split_by_decay
from mypt.plugins.selection import check_choices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypt.format.documents.training import TrainingConfig
    from mypt.format.optimizers.parameter_rules import Rule
    from mypt.model.transformer import Transformer
    from mypt.plugins.contracts.training import OptimizerFactory

    Shapes = Mapping[str, tuple[int, ...]]

_OTHER_GROUPS = "has other groups of parameters"
# The call that makes an optimizer which fits whatever the model is.
FITTING = (
    "make it with torch.optim.AdamW(model.parameters(), lr=..., betas=..., weight_decay=...), "
    "which decays all parameters alike"
)


@frozen(kw_only=True)
class Described:
    """The hyperparameters of an optimizer.

    Attributes:
        training: Those that are fields of `TrainingConfig`; `learning_rate` is the largest peak.
        own: Of AdamW, those of a parameter of its own, by name; see
            `mypt.format.optimizers.adamw.Group`. None for another optimizer, whose groups are those
            that its factory builds, and where a bundle cannot hold the groups.
        is_saveable: Whether a bundle can hold the groups, so that a resume goes on with them.
    """

    training: Mapping[str, Any]
    own: Mapping[str, Mapping[str, float]] | None = None
    is_saveable: bool = True


def describe_optimizer(
    optimizer: torch.optim.Optimizer,
    model: Transformer,
    given: Mapping[str, Any],
    saved: TrainingConfig,
) -> Described:
    """Describe an optimizer of a model.

    Args:
        optimizer: One that `check_optimizer` takes.
        model: The model.
        given: Fields of `TrainingConfig` that are asked for.
        saved: Values of the other fields.

    Raises:
        ConfigError: A bundle cannot hold its groups, so that no resume could go on with them.
    """
    if not is_adamw(optimizer):
        return _describe_by_factory(optimizer, model, given, saved)
    names = {parameter: name for name, parameter in model.named_parameters()}
    shapes = {name: tuple(parameter.shape) for parameter, name in names.items()}
    groups = [
        ([names[parameter] for parameter in group["params"]], group)
        for group in optimizer.param_groups
    ]
    return describe_groups(groups, shapes, "optimizer", given.get("weight_decay_on"))


def check_optimizer(optimizer: torch.optim.Optimizer, model: Transformer) -> None:
    """Raise if an optimizer is not one of a model, or is an AdamW that makes other updates.

    Raises:
        ConfigError: It holds tensors that are not the model's, or has amsgrad or maximize.
    """
    if is_adamw(optimizer):
        what = next(filter(None, map(foreign_algorithm, optimizer.param_groups)), None)
        if what is not None:
            raise _refuse_algorithm(what)
    known = set(model.parameters())
    held = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    if any(parameter not in known for parameter in held):
        what = "holds tensors that are not parameters of this model"
        raise ConfigError(Problem("", "optimizer", what, FITTING, kind="optimizer.groups"))


def is_adamw(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimizer is torch's AdamW, or a subclass with the same step."""
    kind, adamw = type(optimizer), torch.optim.AdamW
    return issubclass(kind, adamw) and unwrap(kind.step) is unwrap(adamw.step)


def describe_unsaved(optimizer: torch.optim.Optimizer) -> Described:
    """Describe an AdamW whose groups no bundle can hold, for a run that is not saved."""
    rate = largest_peak(optimizer)
    return Described(training={"optimizer": NAME, "learning_rate": rate}, is_saveable=False)


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
            raise make_group_error(
                where, f"has groups with {name} {listed}; a bundle holds one for all"
            )
    decayed = {n for names, settings in filled if settings["weight_decay"] for n in names}
    found = _find_decay_rule(decayed, shapes, rule)
    if found is None:
        what = f"decays {len(decayed)} parameters that no weight_decay_on names"
        raise make_group_error(where, f"{what} ({_list_sizes(shapes)})")
    peaks = {peak_of(settings) for _, settings in filled}
    (beta1, beta2) = next(iter(betas))
    return Described(
        training={
            "optimizer": NAME,
            "optimizer_options": {},
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
    fields = (
        *("optimizer", "optimizer_options", "learning_rate"),
        *("beta1", "beta2", "weight_decay", "weight_decay_on"),
    )
    return Described(training={name: getattr(training, name) for name in fields})


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


def find_other_settings(
    groups: Iterable[tuple[Sequence[str], Mapping[str, Any]]],
    built: torch.optim.Optimizer,
    names: Mapping[torch.nn.Parameter, str],
    factory: OptimizerFactory,
) -> str | None:
    """Return how groups differ from those that a resume would build; None if they do not.

    Args:
        groups: Names and settings of each group.
        built: The optimizer that the factory builds.
        names: Names of the parameters.
        factory: The factory.
    """
    wanted = [
        ([names[p] for p in group["params"]], group)
        for group in built.param_groups
        if group["params"]
    ]
    held = [(list(members), settings) for members, settings in groups if members]
    if [members for members, _ in held] != [members for members, _ in wanted]:
        return _OTHER_GROUPS
    for (members, settings), (_, group) in zip(held, wanted, strict=True):
        ours, theirs = (
            {**_fixed_settings(g, factory), "lr": peak_of(g)} for g in (settings, group)
        )
        for key, value in theirs.items():
            if ours[key] != value:
                return f"has {key} {ours[key]} for {members[0]}, not {value}"
    return None


def _fixed_settings(group: Mapping[str, Any], factory: OptimizerFactory) -> dict[str, Any]:
    return {key: group.get(key, "none") for key in factory.settings}


def _describe_by_factory(
    optimizer: torch.optim.Optimizer,
    model: Transformer,
    given: Mapping[str, Any],
    saved: TrainingConfig,
) -> Described:
    """Describe an optimizer by the factory that builds one of its class with the same groups."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = [([names[p] for p in group["params"]], group) for group in optimizer.param_groups]
    differences = []
    for inferred, training, built in _build_alike(optimizer, model, given, saved):
        what = find_other_settings(
            groups, built, names, model.plugins.optimizer(training.optimizer)
        )
        if what is None:
            fields = {"optimizer", "optimizer_options", *inferred}
            return Described(training={field: getattr(training, field) for field in sorted(fields)})
        differences.append(f"{what} by the optimizer {training.optimizer}, which a resume builds")
    if differences:
        fix = "make it as that does, or pass the optimizer_options that it was made with"
        nearest = min(differences, key=lambda what: what.startswith(_OTHER_GROUPS))
        raise ConfigError(Problem("", "optimizer", nearest, fix, kind="optimizer.groups"))
    raise _refuse_class(type(optimizer), model.plugins.optimizers)


def _build_alike(
    optimizer: torch.optim.Optimizer,
    model: Transformer,
    given: Mapping[str, Any],
    saved: TrainingConfig,
) -> Iterator[tuple[Mapping[str, Any], TrainingConfig, torch.optim.Optimizer]]:
    """Yield what the factories build, of the class of an optimizer, by what it may be made with."""
    parameters = dict(model.named_parameters())
    for name, factory in model.plugins.optimizers.items():
        for inferred in () if name == NAME else _infer_fields(optimizer, factory):
            try:
                training = override_training({**inferred, **given, "optimizer": name}, saved)
                check_choices(training, model.plugins)
                built = factory.build(parameters, training)
            except MyptError:  # it is made with other options, or not at all
                continue
            if not _is_alike(built, optimizer):
                break
            yield inferred, training, built


def _infer_fields(
    optimizer: torch.optim.Optimizer, factory: OptimizerFactory
) -> Iterator[dict[str, Any]]:
    """Yield hyperparameters that an optimizer of a factory may have been built with.

    An option of the name of a setting is what groups have, and so is the weight decay.
    """
    groups = [group for group in optimizer.param_groups if group["params"]]
    rates = sorted({peak_of(group) for group in groups}, reverse=True)
    named = factory.options.get("properties", {}).keys() & {*factory.settings}
    options = {
        key: [*value] if isinstance(value, tuple) else value
        for key in sorted(named)
        for value in [group.get(key) for group in groups if group.get(key) is not None][:1]
    }
    decay = max((group.get("weight_decay") or 0.0 for group in groups), default=0.0)
    for rate in rates:
        yield {"learning_rate": rate}
        for rule in RULES:
            fields = {"weight_decay": decay, "weight_decay_on": rule, "learning_rate": rate}
            yield {**fields, "optimizer_options": options}


def _is_alike(built: torch.optim.Optimizer, given: torch.optim.Optimizer) -> bool:
    """Return whether two optimizers make the same updates: of one class, or with its step."""
    kinds = type(built), type(given)
    steps = [unwrap(kind.step) for kind in kinds]
    return _name_class(built) == _name_class(given) or steps[0] is steps[1]


def _name_class(optimizer: torch.optim.Optimizer) -> tuple[str, str]:
    """Return what names a class, which a plugin may make anew each time: it imports torch late."""
    return type(optimizer).__module__, type(optimizer).__qualname__


def _refuse_class(kind: type, offered: Iterable[str]) -> ConfigError:
    """Return the error of an optimizer of a class that no factory builds."""
    known = sorted(offered)
    own = kind.__name__.lower()
    if own in known:
        package = kind.__module__.partition(".")[0]
        what = f"is {kind.__name__} of {package}, which is not what mypt's {own} is"
        fix = f'pass optimizer="{own}", or leave it out'
        return ConfigError(Problem("", "optimizer", what, fix, kind="optimizer.algorithm"))
    named = " and ".join(known)
    return _refuse_algorithm(f"is {kind.__name__}, but mypt trains and resumes with {named} alone")


def _refuse_algorithm(what: str) -> ConfigError:
    fix = f"{FITTING}, or leave it out"
    return ConfigError(Problem("", "optimizer", what, fix, kind="optimizer.algorithm"))


def _check_parameters(names: Sequence[str], shapes: Shapes, where: str) -> None:
    """Raise if these are not a model's parameters, each once."""
    unknown = next((name for name in names if name not in shapes), None)
    if unknown is not None:
        raise make_group_error(where, f"holds {unknown}, which is no parameter of the model")
    lacking = next((name for name in shapes if name not in names), None)
    if lacking is not None:
        what = f"holds {len(names)} of the model's {format_count(len(shapes), 'parameter')}"
        fix = "pass them all: one without a gradient (requires_grad_(False)) stays as it is"
        raise make_group_error(where, f"{what}, not {lacking}", fix)


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


def _list_sizes(shapes: Shapes) -> str:
    return ", ".join(f"{len(split_by_decay(shapes, rule)[0])} by {rule}" for rule in RULES)


def make_group_error(where: str, what: str, fix: str = FITTING) -> ConfigError:
    """Return the error of groups that no resume could go on with."""
    return ConfigError(Problem("", where, what, fix, kind="optimizer.groups"))
