"""States of AdamW that know parameters by index alone: of MyPT, and of other programs.

The indices count the parameters in the model's order, at first those that weight decay applies to.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mypt.format.optimizers.adamw import ADAMW, MOMENTS, NAME, OWN
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.parameter_rules import split_by_decay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypt.format.optimizers.parameter_rules import Rule

# What MyPT did: at first everything decayed, then what decays in mypt by default.
LEGACY_RULES: tuple[Rule, ...] = ("linear", "all")
_SETTINGS = ("lr", "initial_lr", *ADAMW.settings)
# What torch's AdamW of MyPT's time has beside them.
_FLAGS = {"amsgrad": False, "maximize": False}


def holds_indices(contents: Any) -> bool:
    """Return whether a state knows parameters by index: some other ones are of no form at all."""
    match contents:
        case {"param_groups": [*groups]}:
            listed = [g["params"] for g in groups if isinstance(g, dict) and "params" in g]
            return any(type(i) is int for p in listed if isinstance(p, list) for i in p)
    return False


def order_parameters(shapes: Mapping[str, tuple[int, ...]], rule: Rule) -> list[str]:
    """Return the names of a model's trainable parameters by their index.

    Args:
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: What weight decay applies to.
    """
    return [name for half in split_by_decay(shapes, rule) for name in half]


def follows_rule(
    groups: Sequence[Mapping[str, Any]], shapes: Mapping[str, tuple[int, ...]], rule: Rule
) -> bool:
    """Return whether groups are those of a rule, as far as sizes tell.

    Either half may be cut into several groups, where neighbours differ in what is their own.

    Args:
        groups: The `param_groups`, with indices.
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: What weight decay applies to.
    """
    if [index for group in groups for index in group["params"]] != [*range(len(shapes))]:
        return False
    n_decayed = len(split_by_decay(shapes, rule)[0])
    halves: tuple[list[Mapping[str, Any]], ...] = ([], [])
    for group in groups:
        if group["params"]:
            first, last = group["params"][0], group["params"][-1]
            if first < n_decayed <= last:
                return False
            halves[first >= n_decayed].append({key: group.get(key) for key in OWN})
    return all(one != two for half in halves for one, two in pairwise(half))


def name_parameters(
    contents: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    rules: Iterable[Rule],
) -> dict[str, Any] | None:
    """Return a state as `optimizer.pt` has it; None if its groups follow none of some rules.

    Args:
        contents: The state, which has the form of AdamW's, with indices.
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rules: What weight decay may apply to.
    """
    groups = contents["param_groups"]
    rule = next((rule for rule in rules if follows_rule(groups, shapes, rule)), None)
    if rule is None:
        return None
    order = order_parameters(shapes, rule)
    state = {
        order[index]: {key: entry[key] for key in ("step", *MOMENTS)}
        for index, entry in contents["state"].items()
    }
    named = [[order[index] for index in group["params"]] for group in groups]
    settings = [{key: group[key] for key in _SETTINGS if key in group} for group in groups]
    return optimizer_document(NAME, state, zip(named, settings, strict=True))


def number_parameters(
    document: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """Return a state of AdamW as MyPT reads it: with indices, in a group that decays and another.

    Args:
        document: The content of an `optimizer.pt`.
        shapes: Trainable parameters in the model's order; a tied head is not among them. One that
            the document does not have has no state.

    Returns:
        The state dict of AdamW. Weight decay applies to no more parameters than before.
    """
    group_of = {name: group for group in document["param_groups"] for name in group["params"]}
    order = order_parameters(shapes, LEGACY_RULES[0])
    groups: list[dict[str, Any]] = []
    for names in split_by_decay(shapes, LEGACY_RULES[0]):
        used = [group_of[name] for name in names if name in group_of] or document["param_groups"][
            -1:
        ]
        settings = {key: used[0][key] for key in ("lr", *ADAMW.settings)}
        settings["weight_decay"] = min(group["weight_decay"] for group in used)
        begin = len(groups) and len(groups[0]["params"])
        groups.append({**settings, **_FLAGS, "params": [*range(begin, begin + len(names))]})
    entries = ((index, document["state"].get(name)) for index, name in enumerate(order))
    state = {index: dict(entry) for index, entry in entries if entry is not None}
    return {"state": state, "param_groups": groups}
