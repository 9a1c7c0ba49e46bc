"""What an `optimizer.pt` must be: AdamW's state, in groups that its training state describes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem, format_count, limit_problems
from mypt.format.parameter_order import (
    RULES,
    follows_rule,
    is_frozen,
    order_parameters,
    split_by_decay,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.format.documents.convert import Document
    from mypt.format.layout import Shape
    from mypt.format.parameter_order import Rule

FORM, ALGORITHM, GROUPS, SHAPE = (
    f"optimizer.{kind}" for kind in ("form", "algorithm", "groups", "shape")
)
# Warnings: a resume goes on, but not as the run that was saved.
ENTRY, SETTINGS = "optimizer.entry", "optimizer.settings"
INEXACT = frozenset({ENTRY, SETTINGS})

_FIX = "remove it to go on with a fresh optimizer, or restore the one of this model"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_NUMBERS = ("eps", "weight_decay", "initial_lr")
_MOST_NAMES = 3
_COMPARED = (
    *("beta1", "beta2", "freeze_embeddings", "freeze_layers"),
    *("weight_decay", "weight_decay_on"),
)


def possible_rules(state: Document | None) -> tuple[Rule, ...]:
    """Return the values of `weight_decay_on` that an optimizer's groups may follow.

    Args:
        state: Fields of `training_state.json`, which says; None where there is none.
    """
    if state is None:
        return RULES
    return (state.get("training_config", {}).get("weight_decay_on", RULES[0]),)


def optimizer_problems(
    contents: Any, shapes: Mapping[str, Shape], rules: Iterable[Rule], file: str
) -> list[Problem]:
    """Return the reasons why no AdamW of a model can go on from a state.

    Args:
        contents: The contents of `optimizer.pt`, or their description.
        shapes: The model's parameters in their order; a tied head is not among them.
        rules: The values that `weight_decay_on` may have.
        file: Name of the file, for messages.
    """
    problems = form_problems(contents, file)
    if problems:
        return problems
    groups, tried = contents["param_groups"], tuple(rules)
    rule = next((rule for rule in tried if follows_rule(groups, shapes, rule)), None)
    if rule is None:
        sizes = [len(group["params"]) for group in groups]
        wanted = [[len(half) for half in split_by_decay(shapes, rule)] for rule in tried]
        said = " or ".join(f"{w} (weight_decay_on {r})" for r, w in zip(tried, wanted, strict=True))
        what = f"has parameter groups of {sizes} tensors, the model needs {said}"
        return [Problem(file, "param_groups", what, _FIX, kind=GROUPS)]
    order = order_parameters(shapes, rule)
    return limit_problems(_shape_problems(contents["state"], order, shapes, file))


def rule_problem(now: Rule, was: Rule, file: str, state_file: str) -> Problem:
    """Return the problem of a `weight_decay_on` that was edited since the optimizer was saved.

    Args:
        now: What the training state says.
        was: What it said when it was saved, which the optimizer's groups follow.
        file: Name of the optimizer's file, for messages.
        state_file: Name of the training state's file.
    """
    what = f'was edited after the save: "{now}", was "{was}", by which {file} is grouped'
    fix = f'set it back to "{was}", or remove {file} to go on with a fresh optimizer'
    return Problem(state_file, "/training_config/weight_decay_on", what, fix, kind=GROUPS)


def form_problems(contents: Any, file: str) -> list[Problem]:
    """Return the reasons why something is not the state of an AdamW, of whatever model.

    Args:
        contents: What may be a state dict, or its description.
        file: Name of the file, for messages.
    """
    match contents:
        case {"state": dict() as state, "param_groups": list() as groups}:
            pass
        case _:
            what = "is not an optimizer state: it has no `state` and `param_groups`"
            return [Problem(file, "", what, _FIX, kind=FORM)]
    problems = limit_problems(_group_problems(groups, file))
    if problems:
        return problems
    return limit_problems(_entry_problems(state, groups, file))


def doubt_problems(
    contents: Any, shapes: Mapping[str, Shape], state: Document, file: str
) -> list[Problem]:
    """Return warnings of what a resume does otherwise than the run that was saved.

    Args:
        contents: The contents of `optimizer.pt` without `optimizer_problems`.
        shapes: The model's parameters in their order; a tied head is not among them.
        state: Fields of `training_state.json`.
        file: Name of the file, for messages.
    """
    training = _training_of(state)
    problems = []
    rule = training["weight_decay_on"]
    lacking = [
        name
        for index, name in enumerate(order_parameters(shapes, rule))
        if index not in contents["state"]
        and not is_frozen(name, training["freeze_layers"], training["freeze_embeddings"])
    ]
    if lacking and state["step"]:
        names = ", ".join(lacking[:_MOST_NAMES]) + (", ..." if len(lacking) > _MOST_NAMES else "")
        what = f"has no moments of {format_count(len(lacking), 'parameter')} ({names})"
        fix = "restore it, unless they were not trained so far: they begin anew"
        problems.append(Problem(file, "state", what, fix, kind=ENTRY, severity="warning"))
    n_decayed = len(split_by_decay(shapes, rule)[0])
    settings = _setting_problems(contents["param_groups"], training, n_decayed, file)
    return problems + limit_problems(settings)


def _training_of(state: Document) -> Document:
    """Return the hyperparameters that a state is compared with, with defaults for absent ones."""
    given: Document = state.get("training_config", {})
    if all(name in given for name in _COMPARED):
        return given
    from mypt.format.documents.training import TrainingConfig  # mypt leaves none of them out

    defaults = TrainingConfig()
    return {name: given.get(name, getattr(defaults, name)) for name in _COMPARED}


def _group_problems(groups: list[Any], file: str) -> Iterator[Problem]:
    for number, group in enumerate(groups):
        where = f"param_groups.{number}"
        match group:
            case {"params": list() as params} if all(type(index) is int for index in params):
                pass
            case _:
                yield Problem(file, where, "has no list of indices `params`", _FIX, kind=FORM)
                continue
        if (what := foreign_algorithm(group)) is not None:
            yield Problem(file, where, what, _FIX, kind=ALGORITHM)
            continue
        betas = group["betas"]
        if not (
            isinstance(betas, tuple | list)
            and len(betas) == len(_MOMENTS)
            and all(_is_number(beta) and 0 <= beta < 1 for beta in betas)
        ):
            what = "must be two numbers from 0 to below 1"
            yield Problem(file, f"{where}.betas", what, _FIX, kind=FORM)
        for key in _NUMBERS:
            if not (_is_number(group.get(key, 0.0)) and group.get(key, 0.0) >= 0):
                what = "must be a number that is not negative"
                yield Problem(file, f"{where}.{key}", what, _FIX, kind=FORM)


def foreign_algorithm(group: Mapping[str, Any]) -> str | None:
    """Return what says that a group was not updated as mypt's AdamW does; None if nothing does."""
    if "betas" not in group:
        return "is of another optimizer than AdamW: it has no `betas`"
    if group.get("decoupled_weight_decay", True) is not True:
        return "is of Adam, whose weight decay is not that of AdamW"
    if group.get("amsgrad", False) is not False:
        return "is of AdamW with amsgrad, which mypt does not have"
    if group.get("maximize", False) is not False:
        return "is of AdamW with maximize, but mypt minimizes the loss"
    return None


def _entry_problems(
    state: Mapping[Any, Any], groups: list[Mapping[str, Any]], file: str
) -> Iterator[Problem]:
    listed = {index for group in groups for index in group["params"]}
    for index, entry in state.items():
        where = f"state.{index}"
        if index not in listed:
            yield Problem(file, where, "belongs to no parameter group", _FIX, kind=FORM)
            continue
        for name in _MOMENTS:
            if not (isinstance(entry, dict) and hasattr(entry.get(name), "shape")):
                yield Problem(file, where, f"has no `{name}`", _FIX, kind=FORM)
                break
        else:
            step = entry.get("step")
            if not (_is_number(step) or (hasattr(step, "shape") and tuple(step.shape) == ())):
                yield Problem(file, where, "has no number `step`", _FIX, kind=FORM)


def _shape_problems(
    state: Mapping[int, Mapping[str, Any]], order: list[str], shapes: Mapping[str, Shape], file: str
) -> Iterator[Problem]:
    for index, entry in state.items():
        wanted = shapes[order[index]]
        for name in _MOMENTS:
            held = tuple(entry[name].shape)
            if held != wanted:
                what = f"has shape {held}, but {order[index]} has {wanted}"
                yield Problem(file, f"state.{index}.{name}", what, _FIX, kind=SHAPE)


def _setting_problems(
    groups: list[Mapping[str, Any]], training: Document, n_decayed: int, file: str
) -> Iterator[Problem]:
    """Compare the settings of the last update with those that a resume would use."""
    fix = "edit training_state.json if a resume should use those of the optimizer"
    for number, group in enumerate(groups):
        if not group["params"]:
            continue
        is_decayed = group["params"][0] < n_decayed
        wanted = {
            "betas": (training["beta1"], training["beta2"]),
            "weight_decay": training["weight_decay"] if is_decayed else 0.0,
        }
        used = {"betas": tuple(group["betas"]), "weight_decay": group.get("weight_decay")}
        for key, value in wanted.items():
            if used[key] not in (None, value):
                what = f"was used with {key} {used[key]}, but training_config says {value}"
                where = f"param_groups.{number}.{key}"
                yield Problem(file, where, what, fix, kind=SETTINGS, severity="warning")
    apart = [group for group in groups if group["params"] and "initial_lr" not in group]
    rates: set[float] = {group["lr"] for group in apart if _is_number(group.get("lr"))}
    if len(rates) > 1:
        what = f"was used with learning rates of {' and '.join(map(str, sorted(rates)))}"
        what += ", of which a resume makes one: no `initial_lr` names their peaks"
        fix = "add it to each group if the rates should stay apart"
        yield Problem(file, "param_groups", what, fix, kind=SETTINGS, severity="warning")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
