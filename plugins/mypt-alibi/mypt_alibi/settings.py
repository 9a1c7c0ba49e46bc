"""Settings of the part: the section `mypt-alibi` in `plugins` of a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypt.plugins import GPTConfig

PACKAGE = "mypt-alibi"
DEFAULTS = {"factor": 1.0, "dtype": "float32"}
OPTIONS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "factor": {
            "description": "Factor on the biases.",
            "type": "number",
            "exclusiveMinimum": 0,
            "default": DEFAULTS["factor"],
        },
        "dtype": {
            "description": (
                "How the slopes, and their products with the positions of keys, are rounded "
                "before the factor: bfloat16 as Falcon rounds them, or float32."
            ),
            "enum": ["float32", "bfloat16"],
            "default": DEFAULTS["dtype"],
        },
    },
}


def read_settings(config: GPTConfig) -> dict[str, Any]:
    """Return the settings of a config, those included that it leaves out."""
    return {**DEFAULTS, **config.plugins.get(PACKAGE, {})}
