"""The order of parameters in `optimizer.pt`, which identifies them by index alone."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# A rule is the `weight_decay_on` of a training config.
Rule = str
RULES: tuple[Rule, ...] = ("linear", "matrices", "all")
# What MyPT did: at first everything decayed, then what decays in mypt by default.
LEGACY_RULES: tuple[Rule, ...] = ("linear", "all")
# The hyperparameters that only the groups of `optimizer.pt` hold, so that a resume keeps them.
OWN = ("eps", "initial_lr")
# The layers of mypt's own stack, and those of a plugin's.
_IN_LAYER = re.compile(r"blocks\.(?:layers\.)?([0-9]{1,7})\.")


class Group(NamedTuple):
    """One group of an optimizer: parameters that follow one another, with the same settings.

    Attributes:
        names: The parameters, in the model's order.
        decays: Whether weight decay applies to them.
        own: Their hyperparameters among `OWN`; absent ones are those of the run.
    """

    names: list[str]
    decays: bool
    own: Mapping[str, float]


def decays(name: str, n_dims: int, rule: Rule) -> bool:
    """Return whether weight decay applies to a parameter.

    Args:
        name: Its name in format 2.
        n_dims: Number of its dimensions.
        rule: `linear`: matrices whose name contains neither "embedding" nor "ln", as in MyPT;
            `matrices`: everything with two or more dimensions, as in nanoGPT; `all`: everything,
            as torch does by default.
    """
    if rule == "all":
        return True
    if n_dims < 2:
        return False
    lowered = name.lower()
    return rule == "matrices" or ("embedding" not in lowered and "ln" not in lowered)


def is_frozen(name: str, freeze_layers: int, freeze_embeddings: bool) -> bool:
    """Return whether hyperparameters of this name keep a parameter as it is.

    Args:
        name: Its name in format 2.
        freeze_layers: Number of the first layers that are kept.
        freeze_embeddings: Whether the embeddings are, and an output layer that is tied to them.
    """
    layer = _IN_LAYER.match(name)
    if layer is not None:
        return int(layer[1]) < freeze_layers
    places = ("token_embedding_table.", "position_embedding_table.")
    return freeze_embeddings and name.startswith(places)


def split_by_decay(
    shapes: Mapping[str, tuple[int, ...]], rule: Rule
) -> tuple[list[str], list[str]]:
    """Split parameter names into the decayed group and the other, each in the model's order.

    Args:
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: See `decays`.
    """
    first = [name for name, shape in shapes.items() if decays(name, len(shape), rule)]
    kept = set(first)
    return first, [name for name in shapes if name not in kept]


def order_parameters(shapes: Mapping[str, tuple[int, ...]], rule: Rule) -> list[str]:
    """Return the names of a model's trainable parameters by their index in `optimizer.pt`.

    Args:
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: See `decays`.
    """
    return [name for half in split_by_decay(shapes, rule) for name in half]


def cut_groups(
    shapes: Mapping[str, tuple[int, ...]], rule: Rule, own: Mapping[str, Mapping[str, float]]
) -> list[Group]:
    """Return the groups of an optimizer: those that decay, then the others.

    Either is cut where the parameters' own hyperparameters change, and is one group, maybe an
    empty one, where they do not. The groups in their order count the parameters.

    Args:
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: See `decays`.
        own: Own hyperparameters by parameter; see `Group`.
    """
    groups = []
    for names, is_decayed in zip(split_by_decay(shapes, rule), (True, False), strict=True):
        runs = groupby(names, key=lambda name: own.get(name, {}))
        cut = [Group([*run], is_decayed, settings) for settings, run in runs]
        groups += cut or [Group([], is_decayed, {})]
    return groups


def own_settings(
    groups: Iterable[Mapping[str, Any]], order: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the parameters' own hyperparameters, as `cut_groups` takes them.

    Args:
        groups: The `param_groups` of an `optimizer.pt`.
        order: Names of the parameters by their index.
    """
    return {
        order[index]: {key: group[key] for key in OWN if key in group}
        for group in groups
        for index in group["params"]
    }


def follows_rule(
    groups: Sequence[Mapping[str, Any]], shapes: Mapping[str, tuple[int, ...]], rule: Rule
) -> bool:
    """Return whether the groups of an `optimizer.pt` are those of a rule, as far as sizes tell.

    Args:
        groups: Its `param_groups`.
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: See `decays`.
    """
    if [index for group in groups for index in group["params"]] != [*range(len(shapes))]:
        return False
    cut = cut_groups(shapes, rule, own_settings(groups, order_parameters(shapes, rule)))
    sizes = ([len(group.names) for group in cut], [len(group["params"]) for group in groups])
    wanted, held = ([size for size in listed if size] for listed in sizes)
    return wanted == held


def optimizer_document(
    moments: Mapping[str, Mapping[str, Any]],
    groups: Iterable[tuple[Sequence[str], Mapping[str, Any]]],
) -> dict[str, Any]:
    """Return the content of `optimizer.pt`.

    Args:
        moments: `step`, `exp_avg` and `exp_avg_sq` by parameter name; parameters may be missing.
        groups: The parameters of each group in the order of `cut_groups`, and its settings: `lr`,
            `betas`, `eps`, `weight_decay`, and `initial_lr` where they differ.
    """
    order: list[str] = []
    listed = []
    for names, settings in groups:
        listed.append({**settings, "params": [*range(len(order), len(order) + len(names))]})
        order += names
    state = {index: dict(moments[name]) for index, name in enumerate(order) if name in moments}
    return {"state": state, "param_groups": listed}
