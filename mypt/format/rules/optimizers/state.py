"""What an `optimizer.pt` must be: for each parameter by its name what the optimizer declares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.errors import MyptError, Problem, format_count, limit_problems
from mypt.format.optimizers.adamw import MOMENTS, NAME, foreign_algorithm
from mypt.format.optimizers.declaration import StateTensor, is_number, is_plain
from mypt.format.optimizers.weight_mean import KEY, add_mean
from mypt.format.rules.optimizers.kinds import ALGORITHM, DTYPE, FIX, FORM, GROUPS, SHAPE
from mypt.format.tensors.info import FLOATING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mypt.format.optimizers.declaration import Declaration, Kept, ParameterInfo, StateNumber

    Groups = list[dict[str, Any]]

_NUMBERS = ("eps", "weight_decay")


def optimizer_problems(
    contents: Any,
    parameters: Mapping[str, ParameterInfo],
    declaration: Declaration | None,
    file: str,
) -> list[Problem]:
    """Return the reasons why no optimizer of a model can go on from a state.

    Args:
        contents: The contents of `optimizer.pt`, or their description.
        parameters: The model's parameters by name; a tied head is not among them.
        declaration: What the optimizer that the contents name keeps; None where nobody here knows,
            so that the names of parameters are all that can be checked.
        file: Name of the file, for messages.
    """
    problems = form_problems(contents, file)
    if problems:
        return problems
    groups: Groups = contents["param_groups"]
    problems = limit_problems(_name_problems(groups, parameters, file))
    if declaration is not None and not problems:
        problems = limit_problems(_group_problems(contents["optimizer"], groups, declaration, file))
    if declaration is None or problems:
        return problems
    return limit_problems(_entry_problems(contents, parameters, declaration, file))


def form_problems(contents: Any, file: str) -> list[Problem]:
    """Return the reasons why something is not the state of an optimizer, of whatever model.

    Args:
        contents: What may be the contents of `optimizer.pt`, or their description.
        file: Name of the file, for messages.
    """
    match contents:
        case {"optimizer": str(), "state": dict() as state, "param_groups": list() as groups}:
            pass
        case _:
            what = "is not an optimizer state: it lacks `optimizer`, `state` or `param_groups`"
            return [Problem(file, "", what, FIX, kind=FORM)]
    problems = limit_problems(_group_form_problems(groups, file))
    if problems:
        return problems
    listed = {name for group in groups for name in group["params"]}
    return limit_problems(_entry_form_problems(state, listed, file))


def adamw_group_problems(group: Mapping[str, Any], where: str, file: str) -> Iterator[Problem]:
    """Yield what keeps an AdamW from going on with the settings of a group."""
    if (what := foreign_algorithm(group)) is not None:
        yield Problem(file, where, what, FIX, kind=ALGORITHM)
        return
    betas = group["betas"]
    if not (
        isinstance(betas, tuple | list)
        and len(betas) == len(MOMENTS)
        and all(is_finite(beta) and 0 <= beta < 1 for beta in betas)
    ):
        what = "must be two numbers from 0 to below 1"
        yield Problem(file, f"{where}.betas", what, FIX, kind=FORM)
    yield from _number_problems(group, _NUMBERS, where, file)


def is_finite(value: object) -> bool:
    """Return whether a value is a finite number, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_progress(value: object) -> bool:
    """Return whether a value can be what updates change in a group: a finite number, or a bool."""
    return isinstance(value, int | float) and math.isfinite(value)


def _group_form_problems(groups: list[Any], file: str) -> Iterator[Problem]:
    for number, group in enumerate(groups):
        where = f"param_groups.{number}"
        match group:
            case {"params": list() as params} if all(isinstance(name, str) for name in params):
                pass
            case _:
                yield Problem(file, where, "has no list of names `params`", FIX, kind=FORM)
                continue
        if "lr" not in group:
            yield Problem(file, where, "has no `lr`", FIX, kind=FORM)
        yield from _number_problems(group, ("lr", "initial_lr"), where, file)
        for key, value in group.items():
            if not is_plain(value):
                what = "is neither a number, a text nor a list of them"
                yield Problem(file, f"{where}.{key}", what, FIX, kind=FORM)


def _number_problems(
    group: Mapping[str, Any], keys: Collection[str], where: str, file: str
) -> Iterator[Problem]:
    for key in keys:
        if key in group and not (is_finite(group[key]) and group[key] >= 0):
            what = "must be a number that is not negative"
            yield Problem(file, f"{where}.{key}", what, FIX, kind=FORM)


def _entry_form_problems(
    state: Mapping[Any, Any], listed: Collection[str], file: str
) -> Iterator[Problem]:
    for name, entry in state.items():
        where = f"state.{name}"
        if name not in listed:
            yield Problem(file, where, "belongs to no parameter group", FIX, kind=FORM)
        elif not isinstance(entry, dict):
            yield Problem(file, where, "is no dict of what is kept for it", FIX, kind=FORM)
        else:
            for key, value in entry.items():
                if not (is_number(value) or hasattr(value, "shape")):
                    what = "is neither a tensor nor a number"
                    yield Problem(file, f"{where}.{key}", what, FIX, kind=FORM)


def _name_problems(
    groups: Groups, parameters: Mapping[str, ParameterInfo], file: str
) -> Iterator[Problem]:
    """Yield a problem for each name that is no parameter, or not once in the groups."""
    seen = set()
    for number, group in enumerate(groups):
        for name in group["params"]:
            where = f"param_groups.{number}"
            if name not in parameters:
                what = f"holds {name}, which is no parameter of the model"
                yield Problem(file, where, what, FIX, kind=GROUPS)
            elif name in seen:
                yield Problem(file, where, f"holds {name} a second time", FIX, kind=GROUPS)
            seen.add(name)
    lacking = [name for name in parameters if name not in seen]
    if lacking:
        count = format_count(len(parameters), "parameter")
        what = f"hold {len(parameters) - len(lacking)} of the model's {count}, not {lacking[0]}"
        yield Problem(file, "param_groups", what, FIX, kind=GROUPS)


def _group_problems(
    optimizer: str, groups: Groups, declaration: Declaration, file: str
) -> Iterator[Problem]:
    for number, group in enumerate(groups):
        where = f"param_groups.{number}"
        lacking = [k for k in (*declaration.settings, *declaration.progress) if k not in group]
        if optimizer == NAME:
            yield from adamw_group_problems(group, where, file)
            lacking = [key for key in lacking if key != "betas"]  # said already
        for key in lacking:
            yield Problem(file, where, f"has no `{key}`", FIX, kind=FORM)
        for key in declaration.progress:
            if key in group and not is_progress(group[key]):
                what = "must be a finite number, with which the optimizer goes on"
                yield Problem(file, f"{where}.{key}", what, FIX, kind=FORM)


def _entry_problems(
    contents: Mapping[str, Any],
    parameters: Mapping[str, ParameterInfo],
    declaration: Declaration,
    file: str,
) -> Iterator[Problem]:
    for group in contents["param_groups"]:
        for name in group["params"]:
            where = f"state.{name}"
            try:
                kept = declaration.state(parameters[name], group)
            except MyptError as error:  # of a plugin, which says what is wrong with it
                what = f"cannot be checked: {error.problems[0].what}"
                yield Problem(file, where, what, "update the plugin", kind=FORM)
                return
            if name in contents["state"]:
                entry = contents["state"][name]
                if KEY in entry and KEY not in kept:  # whatever the run's `ema` is now
                    kept = add_mean(kept, parameters[name].shape)
                for key, what, kind in find_misfits(entry, kept):
                    yield Problem(file, f"{where}.{key}" if key else where, what, FIX, kind=kind)


def find_misfits(entry: Mapping[str, Any], kept: Kept) -> Iterator[tuple[str, str, str]]:
    """Yield what of a parameter's state differs from what is declared.

    Args:
        entry: The tensors and numbers by name, or their descriptions.
        kept: What is declared.

    Yields:
        The name, "" for the entry as a whole; what is wrong; and the kind of problem.
    """
    for key in (*kept, *entry):
        if key not in entry:
            yield "", f"has no `{key}`", FORM
            return
        if key not in kept:
            yield "", f"has `{key}`, which the optimizer does not declare", FORM
            return
    for key, wanted in kept.items():
        found = _explain_misfit(entry[key], wanted)
        if found is not None:
            yield key, *found


def _explain_misfit(value: Any, wanted: StateTensor | StateNumber) -> tuple[str, str] | None:
    """Return how a value differs from what is declared, and the kind of problem; None if it fits.

    A number fits where a tensor without dimensions is declared: torch once kept `step` so.
    """
    if not isinstance(wanted, StateTensor):
        return None if is_number(value) else ("is a tensor, not a number", FORM)
    if is_number(value):
        return None if wanted.shape == () else (f"is a number, not of shape {wanted.shape}", SHAPE)
    held, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
    if held != wanted.shape:
        return f"has shape {held}, not {wanted.shape}", SHAPE
    if wanted.dtype is None and dtype not in FLOATING:
        return f"has dtype {dtype}, not a floating-point one", DTYPE
    if wanted.dtype not in (None, dtype):
        return f"has dtype {dtype}, not {wanted.dtype}", DTYPE
    return None
