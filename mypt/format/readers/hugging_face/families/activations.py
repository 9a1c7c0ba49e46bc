"""Activations by the names of `transformers`, of two-layer and of gated feed-forward parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.fields import make_unsupported_error

if TYPE_CHECKING:
    from collections.abc import Mapping

# By the name in `transformers`, mypt's `mlp_type`; the first of each is written.
PLAIN: Mapping[str, str] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "relu": "relu",
    "relu2": "relu2",
    "quick_gelu": "quick_gelu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
GATED: Mapping[str, str] = {
    "silu": "swiglu",
    "swish": "swiglu",
    "gelu_pytorch_tanh": "geglu_tanh",
    "gelu_new": "geglu_tanh",
    "gelu_fast": "geglu_tanh",
    "gelu_python_tanh": "geglu_tanh",
    "gelu_accurate": "geglu_tanh",
    "gelu": "geglu",
    "gelu_python": "geglu",
    "relu": "reglu",
}


def convert_activation(
    hf_config: Mapping[str, Any], key: str, file: str, table: Mapping[str, str]
) -> str:
    """Return mypt's `mlp_type` for an activation.

    Args:
        hf_config: The complete config.
        key: The key that names the activation.
        file: Name of the file, for messages.
        table: `PLAIN` or `GATED`, or a part of it.

    Raises:
        FormatError: mypt does not have it.
    """
    name = str(hf_config[key])
    if name not in table:
        what = f"is {name}; mypt has {', '.join(table)}"
        raise make_unsupported_error(file, f"/{key}", what, "install a plugin that reads it")
    return table[name]


def describe_activation(mlp_type: str, table: Mapping[str, str]) -> str:
    """Return the name of an activation in `transformers`; any other one if it has none."""
    names = [name for name, ours in table.items() if ours == mlp_type]
    return names[0] if names else next(iter(table))
