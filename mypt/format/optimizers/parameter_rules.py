"""What applies to a parameter by its name and its shape: weight decay, and freezing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# A rule is the `weight_decay_on` of a training config.
Rule = str
RULES: tuple[Rule, ...] = ("linear", "matrices", "all")
# The layers of mypt's own stack, and those of a plugin's.
_IN_LAYER = re.compile(r"blocks\.(?:layers\.)?([0-9]{1,7})\.")


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


def layer_of(name: str) -> int | None:
    """Return the number of the layer that a parameter is in; None where it is in none.

    Args:
        name: Its name in format 2.
    """
    layer = _IN_LAYER.match(name)
    return None if layer is None else int(layer[1])


def is_frozen(name: str, freeze_layers: int, freeze_embeddings: bool) -> bool:
    """Return whether hyperparameters of this name keep a parameter as it is.

    Args:
        name: Its name in format 2.
        freeze_layers: Number of the first layers that are kept.
        freeze_embeddings: Whether the embeddings are, and an output layer that is tied to them.
    """
    layer = layer_of(name)
    if layer is not None:
        return layer < freeze_layers
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
