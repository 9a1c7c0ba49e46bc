"""Adafactor as the format knows it: second moments of matrices as a row and a column.

Source: Shazeer and Stern 2018, as torch has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.optimizers.declaration import Declaration, StateTensor
from mypt.format.optimizers.options import options_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.optimizers.declaration import Kept, ParameterInfo

NAME = "adafactor"
_SETTINGS = ("beta2_decay", "eps", "d", "weight_decay", "maximize")
OPTIONS = options_schema(
    beta2_decay={
        "type": "number",
        "exclusiveMaximum": 0,
        "default": -0.8,
        "description": "The mean of squares takes in the step to this power of the new ones.",
    },
    eps={
        "type": "array",
        "prefixItems": [
            {"type": ["number", "null"], "minimum": 1e-15},  # its square is no 0 yet
            {"type": "number", "minimum": 0},
        ],
        "minItems": 2,
        "maxItems": 2,
        "default": [None, 1e-3],
        "description": "The least root of a mean of squares, null for the precision of the "
        "weights; and the least size of weights by which the learning rate is multiplied.",
    },
    d={
        "type": "number",
        "minimum": 1,
        "default": 1.0,
        "description": "The largest root mean square of an update before the learning rate; "
        "larger ones are scaled down to it.",
    },
)


def adafactor_state(parameter: ParameterInfo, _: Mapping[str, Any]) -> Kept:
    """Return what is kept for a parameter: the counter of updates, and means of squares."""
    step, shape = StateTensor((), "float32"), parameter.shape
    if len(shape) < 2:
        return {"step": step, "variance": StateTensor(shape)}
    return {
        "step": step,
        "row_var": StateTensor((*shape[:-1], 1), is_whole=True),
        "col_var": StateTensor((*shape[:-2], 1, shape[-1]), is_whole=True),
    }


ADAFACTOR = Declaration(
    state=adafactor_state, settings=("beta2_decay", "eps", "d", "weight_decay", "maximize")
)
