"""What a state of AdamW with indices must be: MyPT's, other programs', and torch's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem, limit_problems
from mypt.format.optimizers.adamw import MOMENTS
from mypt.format.optimizers.indices import name_parameters
from mypt.format.optimizers.parameter_rules import RULES, split_by_decay
from mypt.format.rules.optimizers.kinds import FIX, FORM, GROUPS
from mypt.format.rules.optimizers.state import adamw_group_problems, is_finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.convert import Document
    from mypt.format.layout import Shape
    from mypt.format.optimizers.parameter_rules import Rule


def possible_rules(state: Document | None) -> tuple[Rule, ...]:
    """Return the values of `weight_decay_on` that an optimizer's groups may follow.

    Args:
        state: Fields of `training_state.json`, which says; None where there is none.
    """
    if state is None:
        return RULES
    return (state.get("training_config", {}).get("weight_decay_on", RULES[0]),)


def convert_indexed(
    contents: Any, shapes: Mapping[str, Shape], rules: tuple[Rule, ...], file: str
) -> tuple[Any, list[Problem]]:
    """Return a state by the names of parameters, or the reasons why it cannot be.

    Args:
        contents: What may be a state with indices, or its description.
        shapes: The model's parameters in the order of the indices; a tied head is not among them.
        rules: The values that `weight_decay_on` may have.
        file: Name of the file, for messages.
    """
    problems = indexed_form_problems(contents, file)
    if problems:
        return None, problems
    named = name_parameters(contents, shapes, rules)
    if named is not None:
        return named, []
    sizes = [len(group["params"]) for group in contents["param_groups"]]
    wanted = [[len(half) for half in split_by_decay(shapes, rule)] for rule in rules]
    said = " or ".join(f"{w} (weight_decay_on {r})" for r, w in zip(rules, wanted, strict=True))
    what = f"has parameter groups of {sizes} tensors, the model needs {said}"
    return None, [Problem(file, "param_groups", what, FIX, kind=GROUPS)]


def indexed_form_problems(contents: Any, file: str) -> list[Problem]:
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
            return [Problem(file, "", what, FIX, kind=FORM)]
    problems = limit_problems(_group_problems(groups, file))
    if problems:
        return problems
    return limit_problems(_entry_problems(state, groups, file))


def _group_problems(groups: list[Any], file: str) -> Iterator[Problem]:
    for number, group in enumerate(groups):
        where = f"param_groups.{number}"
        match group:
            case {"params": list() as params} if all(type(index) is int for index in params):
                yield from adamw_group_problems(group, where, file)
            case _:
                yield Problem(file, where, "has no list of indices `params`", FIX, kind=FORM)


def _entry_problems(
    state: Mapping[Any, Any], groups: list[Mapping[str, Any]], file: str
) -> Iterator[Problem]:
    listed = {index for group in groups for index in group["params"]}
    for index, entry in state.items():
        where = f"state.{index}"
        if index not in listed:
            yield Problem(file, where, "belongs to no parameter group", FIX, kind=FORM)
            continue
        for name in MOMENTS:
            if not (isinstance(entry, dict) and hasattr(entry.get(name), "shape")):
                yield Problem(file, where, f"has no `{name}`", FIX, kind=FORM)
                break
        else:
            step = entry.get("step")
            if not (is_finite(step) or (hasattr(step, "shape") and tuple(step.shape) == ())):
                yield Problem(file, where, "has no number `step`", FIX, kind=FORM)
