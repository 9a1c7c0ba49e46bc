"""Stochastic gradient descent as the format knows it.

Source: Sutskever et al. 2013 (momentum, and Nesterov's), as torch has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.optimizers.declaration import Declaration, StateTensor
from mypt.format.optimizers.options import FRACTION, options_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.optimizers.declaration import Kept, ParameterInfo

NAME = "sgd"
_SETTINGS = ("momentum", "dampening", "nesterov", "weight_decay", "maximize")
OPTIONS = options_schema(
    momentum={
        **FRACTION,
        "default": 0.9,
        "description": "How much of the sum of gradients stays from update to update; with 0 no "
        "state is kept.",
    },
    dampening={
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0,
        "description": "By how much less than the whole gradient is added to that sum.",
    },
    nesterov={
        "type": "boolean",
        "default": False,
        "description": "Whether an update looks ahead by the gradient (Nesterov momentum); it "
        "needs a momentum, and no dampening.",
    },
)


def sgd_state(parameter: ParameterInfo, group: Mapping[str, Any]) -> Kept:
    """Return what is kept for a parameter: the sum of gradients, where there is a momentum."""
    return {"momentum_buffer": StateTensor(parameter.shape)} if group["momentum"] else {}


SGD = Declaration(
    state=sgd_state, settings=("momentum", "dampening", "nesterov", "weight_decay", "maximize")
)
