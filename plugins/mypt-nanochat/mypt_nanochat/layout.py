"""The tensors of the layers, and what they ask of a config; does not import torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.plugins import ConfigError, Problem

if TYPE_CHECKING:
    from mypt.plugins import GPTConfig

# Width of what the gates look at: the first values of an activation.
SMEAR_INPUTS, VALUE_INPUTS = 24, 12
VALUE_GATE_MAX = 3.0
# Scores are scaled by this over the square root of the head's width: queries and keys by 1.2 each.
SHARPNESS = 1.44
# Fields of a config by which the rest of the model is nanochat's.
ARCHITECTURE: dict[str, Any] = {
    "embedding_type": "nanochat",
    "stack_type": "nanochat",
    "head_type": "nanochat",
    "pos_encoding": "rope",
    "rope_theta": 100_000.0,
    "qk_norm": "head",
    "norm_type": "rmsnorm",
    "norm_weight": False,
    "norm_eps": 2.0**-23,
    "mlp_bias": False,
    "embedding_norm": True,
    "head_bias": False,
    "logit_soft_cap": 15.0,
}
# What the layers cannot do otherwise: a field, and the value that it must have in effect.
_REQUIRED = {
    "norm_type": "rmsnorm",
    "norm_weight": False,
    "qk_norm": "head",
    "attn_soft_cap": None,
    "residual_scale": 1.0,
    "qkv_bias": False,
    "proj_bias": False,
    "mlp_bias": False,
}


def stack_tensors(config: GPTConfig, layer: int | None) -> dict[str, tuple[int, ...]]:
    """Return the tensors of one layer, or for None those of no layer.

    The rows of `qkv` are the queries', the keys', then the values'.

    Raises:
        ConfigError: The config asks for something that the stack does not have.
    """
    if layer is None:
        _check_config(config)
        return {
            "residual_factors": (config.n_layer,),
            "first_factors": (config.n_layer,),
            "middle_factor": (1,),
            "smear.factor": (1,),
            "smear.gate.weight": (1, SMEAR_INPUTS),
        }
    kv_width = config.kv_width
    width, inner = config.attention_width, config.mlp_width
    own = {
        "sa.value_embedding.weight": (config.vocab_size, kv_width),
        "sa.value_gate.weight": (config.kv_heads, VALUE_INPUTS),
    }
    return {
        "sa.qkv.weight": (width + 2 * kv_width, config.n_embd),
        "sa.proj.weight": (config.n_embd, width),
        **(own if has_value_embedding(config, layer) else {}),
        "fwd.up.weight": (inner, config.n_embd),
        "fwd.down.weight": (config.n_embd, inner),
    }


def has_value_embedding(config: GPTConfig, layer: int) -> bool:
    """Return whether a layer has one: each second, counted back from the last."""
    return (config.n_layer - 1 - layer) % 2 == 0


def _check_config(config: GPTConfig) -> None:
    found = {name: config.meaning_of(name) for name in _REQUIRED}
    problems = [
        Problem(
            "config.json",
            f"/{name}",
            f"is {json.dumps(found[name])}, which the layers of nanochat do not have",
            f"set it to {json.dumps(wanted)}",
        )
        for name, wanted in _REQUIRED.items()
        if found[name] != wanted
    ]
    if config.n_embd < SMEAR_INPUTS:
        what = f"is {config.n_embd}; the gates of nanochat's layers look at {SMEAR_INPUTS} values"
        fix = f"set it to {SMEAR_INPUTS} or more"
        problems.append(Problem("config.json", "/n_embd", what, fix))
    if problems:
        raise ConfigError(*problems)
