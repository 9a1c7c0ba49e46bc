"""The order of parameters in `optimizer.pt`, which identifies them by index alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A rule is the `weight_decay_on` of a training config.
Rule = str


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
    lowered = name.lower()
    is_linear = "embedding" not in lowered and "ln" not in lowered
    return n_dims > 1 and (rule == "matrices" or is_linear)


def split_by_decay(
    shapes: Mapping[str, tuple[int, ...]], rule: Rule
) -> tuple[list[str], list[str]]:
    """Split parameter names into the decayed group and the other, each in the model's order.

    Args:
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: See `decays`.
    """
    first = [name for name, shape in shapes.items() if decays(name, len(shape), rule)]
    return first, [name for name in shapes if name not in set(first)]


def optimizer_document(
    moments: Mapping[str, Mapping[str, Any]],
    shapes: Mapping[str, tuple[int, ...]],
    rule: Rule,
    settings: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the content of `optimizer.pt`.

    Args:
        moments: `step`, `exp_avg` and `exp_avg_sq` by parameter name; parameters may be missing.
        shapes: Trainable parameters in the model's order; a tied head is not among them.
        rule: See `decays`.
        settings: `lr`, `betas`, `eps`, `weight_decay` of the decayed group and of the other.
    """
    groups = split_by_decay(shapes, rule)
    order = [name for group in groups for name in group]
    starts = (0, len(groups[0]))
    return {
        "state": {i: dict(moments[name]) for i, name in enumerate(order) if name in moments},
        "param_groups": [
            {**chosen, "params": list(range(start, start + len(group)))}
            for chosen, start, group in zip(settings, starts, groups, strict=True)
        ],
    }
