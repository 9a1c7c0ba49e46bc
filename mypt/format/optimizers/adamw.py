"""AdamW as the format knows it: its state, its groups, and what is no AdamW of mypt's.

Source: Loshchilov and Hutter 2019 (decoupled weight decay).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mypt.format.optimizers.declaration import Declaration, StateTensor
from mypt.format.optimizers.parameter_rules import split_by_decay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.format.optimizers.declaration import Kept, ParameterInfo
    from mypt.format.optimizers.parameter_rules import Rule

NAME = "adamw"
EPS = 1e-8  # what keeps an update from a division by 0, unless a group has its own
MOMENTS = ("exp_avg", "exp_avg_sq")
# The hyperparameters that only the groups of `optimizer.pt` hold, so that a resume keeps them.
OWN = ("eps", "initial_lr")


class Group(NamedTuple):
    """Parameters with the same settings, in the model's order.

    Attributes:
        names: The parameters.
        decays: Whether weight decay applies to them.
        own: Their hyperparameters among `OWN`; absent ones are those of the run.
    """

    names: list[str]
    decays: bool
    own: Mapping[str, float]


def adamw_state(parameter: ParameterInfo, _: Mapping[str, Any]) -> Kept:
    """Return what AdamW keeps for a parameter: how often it was updated, and two moments."""
    moment = StateTensor(parameter.shape)
    return {"step": StateTensor((), "float32"), **dict.fromkeys(MOMENTS, moment)}


ADAMW = Declaration(state=adamw_state, settings=("betas", "eps", "weight_decay"))


def cut_groups(
    shapes: Mapping[str, tuple[int, ...]], rule: Rule, own: Mapping[str, Mapping[str, float]]
) -> list[Group]:
    """Return the groups of an AdamW: those that decay, then the others.

    Args:
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: What weight decay applies to.
        own: Own hyperparameters by parameter; see `Group`.
    """
    groups: dict[tuple[object, ...], Group] = {}
    for names, is_decayed in zip(split_by_decay(shapes, rule), (True, False), strict=True):
        for name in names:
            settings = own.get(name, {})
            key = (is_decayed, *sorted(settings.items()))
            groups.setdefault(key, Group([], is_decayed, settings)).names.append(name)
    return [*groups.values()]


def own_settings(groups: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the parameters' own hyperparameters, as `cut_groups` takes them.

    Args:
        groups: The `param_groups` of an `optimizer.pt`.
    """
    return {
        name: {key: group[key] for key in OWN if key in group}
        for group in groups
        for name in group["params"]
    }


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
