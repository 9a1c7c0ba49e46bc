"""The number of key heads, and the tensors that follow from it; does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.plugins import ConfigError, Problem

if TYPE_CHECKING:
    from mypt.plugins import GPTConfig

PACKAGE = "mypt-grouped-query"
OPTIONS = {
    "type": "object",
    "properties": {
        "n_kv_head": {
            "type": "integer",
            "minimum": 1,
            "default": 1,
            "description": "Number of heads of keys and values; n_head must be a multiple of it.",
        }
    },
    "additionalProperties": False,
}


def grouped_attention(config: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Return the tensors of the part; the rows of `kv` are the keys', then the values'."""
    tensors: dict[str, tuple[int, ...]] = {}
    width = config.attention_width
    for name, rows, columns, has_bias in (
        ("q", width, config.n_embd, config.has_qkv_bias),
        ("kv", 2 * kv_width(config), config.n_embd, config.has_qkv_bias),
        ("proj", config.n_embd, width, config.has_proj_bias),
    ):
        tensors[f"{name}.weight"] = (rows, columns)
        if has_bias:
            tensors[f"{name}.bias"] = (rows,)
    return tensors


def kv_width(config: GPTConfig) -> int:
    """Return the total width of all key heads."""
    return kv_heads(config) * config.head_width


def kv_heads(config: GPTConfig) -> int:
    """Return the number of heads of keys and values.

    Raises:
        ConfigError: The number does not divide n_head.
    """
    heads = int(config.plugins.get(PACKAGE, {}).get("n_kv_head", 1))  # JSON may contain 2.0
    if config.n_head % heads:
        what = f"is {heads}, which does not divide n_head ({config.n_head})"
        where = f"/plugins/{PACKAGE}/n_kv_head"
        raise ConfigError(Problem("config.json", where, what, "choose a number that does"))
    return heads
