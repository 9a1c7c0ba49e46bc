"""Muon as the format knows it: for the matrices of the layers, beside AdamW for the rest.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.optimizers.adamw import adamw_state
from mypt.format.optimizers.declaration import Declaration, StateTensor
from mypt.format.optimizers.options import FRACTION, options_schema
from mypt.format.optimizers.parameter_rules import layer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.optimizers.declaration import Kept, ParameterInfo

    Shapes = Mapping[str, tuple[int, ...]]

NAME = "muon"
# What only the groups of matrices have; it is None in the others.
MATRIX_SETTINGS = ("momentum", "nesterov", "ns_steps", "adjust_lr_fn", "rows")
OPTIONS = options_schema(
    muon_learning_rate={
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "default": None,
        "description": "Peak learning rate of the matrices; null for `learning_rate`, which is "
        "that of all other parameters.",
    },
    adjust_lr_fn={
        "enum": ["match_rms_adamw", "original", "none"],
        "default": "match_rms_adamw",
        "description": "By what the learning rate of a matrix of m rows and n columns is "
        "multiplied: `match_rms_adamw` by 0.2 sqrt(max(m, n)), so that updates are as large as "
        "AdamW's; `original` by sqrt(max(1, m / n)); `none` by 1.",
    },
    momentum={
        **FRACTION,
        "default": 0.95,
        "description": "How much of the mean of gradients stays from update to update.",
    },
    nesterov={
        "type": "boolean",
        "default": True,
        "description": "Whether an update looks ahead by the gradient (Nesterov momentum).",
    },
    ns_steps={
        "type": "integer",
        "minimum": 1,
        "maximum": 20,
        "default": 5,
        "description": "Newton-Schulz iterations that make an update orthogonal.",
    },
    split_qkv={
        "type": "boolean",
        "default": True,
        "description": "Whether queries, keys and values, whose weights are one tensor, are three "
        "matrices.",
    },
)


def muon_state(parameter: ParameterInfo, group: Mapping[str, Any]) -> Kept:
    """Return what is kept for a parameter: the momentum of a matrix, or what AdamW keeps."""
    if group["momentum"] is None:
        return adamw_state(parameter, group)
    return {"momentum": StateTensor(parameter.shape)}


MUON = Declaration(state=muon_state, settings=("betas", "eps", "weight_decay", *MATRIX_SETTINGS))


def is_hidden_matrix(name: str, shape: tuple[int, ...]) -> bool:
    """Return whether a parameter is a matrix of a layer, and no embedding.

    Args:
        name: Its name in format 2.
        shape: Its shape.
    """
    is_matrix = len(shape) == 2 and min(shape) > 1
    return is_matrix and layer_of(name) is not None and "embedding" not in name.lower()


def list_rows(name: str, shapes: Shapes) -> list[int]:
    """Return the rows of the matrices that a tensor joins: queries, keys and values are three.

    Args:
        name: Name of a matrix.
        shapes: Shapes of all parameters; the columns of `proj` beside `qkv` are as many as queries.
    """
    rows, (before, joined, after) = shapes[name][0], name.rpartition("qkv")
    output = shapes.get(f"{before}proj{after}") if joined else None
    rest = rows - output[-1] if output else 0
    if output is None or rest <= 0 or rest % 2:
        return [rows]
    return [output[-1], rest // 2, rest // 2]
