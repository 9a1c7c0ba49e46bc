"""The mean of the weights in `optimizer.pt`: beside what the optimizer keeps for a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.optimizers.declaration import StateTensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.optimizers.declaration import Kept

KEY = "ema"


def add_mean(kept: Kept, shape: tuple[int, ...]) -> Kept:
    """Return what is kept for a parameter, with its mean.

    Args:
        kept: What its optimizer declares.
        shape: Shape of the parameter.
    """
    return {**kept, KEY: StateTensor(shape, "float32")}


def drop_mean(entry: Mapping[str, Any], kept: Kept) -> Mapping[str, Any]:
    """Return what an optimizer keeps for a parameter, without the mean of its weights.

    Args:
        entry: What `optimizer.pt` keeps for it.
        kept: What the optimizer declares, which may have something of that name itself.
    """
    if KEY in kept or KEY not in entry:
        return entry
    return {key: value for key, value in entry.items() if key != KEY}
