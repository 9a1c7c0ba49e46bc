"""The groups of nanochat's optimizer, and what it keeps; does not import torch.

Source: `setup_optimizer` in nanochat's `gpt.py`, of its commit 92d63d4 of July 2026.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.plugins import StateNumber, StateTensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins import ParameterInfo, TrainingConfig

    Shape = tuple[int, ...]

NAME = "muon_adamw"
MATRICES = "matrices"
# The settings of every group; of those of the other kind, None.
SETTINGS = (
    *("betas", "eps", "weight_decay"),
    *("momentum", "beta2", "iterations", "precision", "parts"),
)
_USUAL_WIDTH = 768  # of the model whose learning rates the others follow


@frozen
class AdamWKind:
    """Parameters that AdamW trains with settings of their own.

    Attributes:
        rate: Peak learning rate, relative to that of the matrices.
        betas: Decay of the two moments.
        weight_decay: Weight decay.
        is_wide: Whether the rate falls with the square root of the model's width.
    """

    rate: float
    betas: tuple[float, float]
    weight_decay: float
    is_wide: bool = False


ADAMW = {
    "unembedding": AdamWKind(0.2, (0.8, 0.96), 0.01, is_wide=True),
    "embedding": AdamWKind(10.0, (0.8, 0.995), 0.001, is_wide=True),
    "value_embedding": AdamWKind(5.0, (0.8, 0.995), 0.01, is_wide=True),
    "residual": AdamWKind(0.25, (0.8, 0.95), 0.05),
    "first": AdamWKind(25.0, (0.96, 0.95), 0.0),
    "scalars": AdamWKind(10.0, (0.8, 0.95), 0.0),
}
_EPS = 1e-10
_NUMBER = {"type": "number", "minimum": 0}
_BETA = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
OPTIONS = {
    "type": "object",
    "description": "`learning_rate` and `weight_decay` of the run are those of the matrices.",
    "properties": {
        "precision": {
            "enum": ["float32", "bfloat16"],
            "default": "float32",
            "description": "In what the updates of matrices are orthogonalized.",
        },
        MATRICES: {
            "type": "object",
            "properties": {
                "momentum": {**_BETA, "default": 0.95},
                "beta2": {**_BETA, "default": 0.9},
                "iterations": {"type": "integer", "minimum": 1, "maximum": 5, "default": 5},
            },
            "additionalProperties": False,
        },
        **{
            kind: {
                "type": "object",
                "properties": {
                    "learning_rate": _NUMBER,
                    "beta1": {**_BETA, "default": usual.betas[0]},
                    "beta2": {**_BETA, "default": usual.betas[1]},
                    "eps": {**_NUMBER, "default": _EPS},
                    "weight_decay": {**_NUMBER, "default": usual.weight_decay},
                },
                "additionalProperties": False,
            }
            for kind, usual in ADAMW.items()
        },
    },
    "additionalProperties": False,
}


@frozen
class Group:
    """A group of parameters.

    Attributes:
        names: Their names.
        settings: Its settings, `lr` and `name` among them.
    """

    names: tuple[str, ...]
    settings: Mapping[str, Any]


def list_groups(shapes: Mapping[str, Shape], training: TrainingConfig) -> list[Group]:
    """Return the groups of a model's parameters.

    Args:
        shapes: Their shapes by name.
        training: Hyperparameters.
    """
    options = training.optimizer_options
    named: dict[tuple[str, Shape, tuple[int, ...]], list[str]] = {}
    for name, shape in shapes.items():
        kind = find_kind(name, shape)
        is_matrix = kind == MATRICES
        key = (kind, shape, split_rows(name, shapes)) if is_matrix else (kind, (), ())
        named.setdefault(key, []).append(name)
    width = next((s[-1] for n, s in shapes.items() if find_kind(n, s) == "embedding"), _USUAL_WIDTH)
    return [
        Group(
            tuple(names),
            _make_matrix_settings(parts, training)
            if kind == MATRICES
            else _make_adamw_settings(kind, width, options.get(kind, {}), training),
        )
        for (kind, _, parts), names in named.items()
    ]


def find_kind(name: str, shape: Shape) -> str:
    """Return the kind of a parameter: `matrices`, or one of those that AdamW trains."""
    if "lm_head" in name:
        return "unembedding"
    if "embedding" in name:
        return "value_embedding" if "value_embedding" in name else "embedding"
    if name.endswith("residual_factors"):
        return "residual"
    if name.endswith("first_factors"):
        return "first"
    is_matrix = len(shape) == 2 and name.startswith("blocks.") and ".smear." not in name
    return MATRICES if is_matrix else "scalars"


def split_rows(name: str, shapes: Mapping[str, Shape]) -> tuple[int, ...]:
    """Return the rows of the matrices that a tensor joins: queries, keys and values are three."""
    rows, (prefix, joined, end) = shapes[name][0], name.rpartition("qkv")
    output = shapes.get(f"{prefix}proj{end}") if joined else None
    if output is None or rows <= output[-1] or (rows - output[-1]) % 2:
        return (rows,)
    rest = (rows - output[-1]) // 2
    return (output[-1], rest, rest)


def keep(parameter: ParameterInfo, group: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept for a parameter.

    Of matrices these are the momentum, and of each matrix that the parameter joins the mean square
    of the rows of its updates, or of their columns where it has more of these.
    """
    if group["momentum"] is None:
        moment = StateTensor(parameter.shape)
        return {"step": StateNumber(), "exp_avg": moment, "exp_avg_sq": moment}
    columns = parameter.shape[1]
    squares = {
        name_square(number): StateTensor((rows, 1) if rows >= columns else (1, columns))
        for number, rows in enumerate(group["parts"])
    }
    return {"momentum": StateTensor(parameter.shape), **squares}


def name_square(number: int) -> str:
    """Return the name of the mean squares of one of the matrices that a parameter joins."""
    return f"mean_square_{number}"


def _make_matrix_settings(parts: tuple[int, ...], training: TrainingConfig) -> dict[str, Any]:
    own = training.optimizer_options.get(MATRICES, {})
    return {
        **dict.fromkeys(SETTINGS),
        "name": MATRICES,
        "lr": training.learning_rate,
        "weight_decay": training.weight_decay,
        "momentum": own.get("momentum", 0.95),
        "beta2": own.get("beta2", 0.9),
        "iterations": own.get("iterations", 5),
        "precision": training.optimizer_options.get("precision", "float32"),
        "parts": list(parts),
    }


def _make_adamw_settings(
    kind: str, width: int, own: Mapping[str, Any], training: TrainingConfig
) -> dict[str, Any]:
    usual = ADAMW[kind]
    rate = training.learning_rate * usual.rate
    rate /= math.sqrt(width / _USUAL_WIDTH) if usual.is_wide else 1.0
    beta1, beta2 = usual.betas
    return {
        **dict.fromkeys(SETTINGS),
        "name": kind,
        "lr": own.get("learning_rate", rate),
        "betas": [own.get("beta1", beta1), own.get("beta2", beta2)],
        "eps": own.get("eps", _EPS),
        "weight_decay": own.get("weight_decay", usual.weight_decay),
    }
