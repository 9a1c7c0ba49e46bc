"""Rotary positions in the metadata of GGUF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.gguf.model_keys import ModelKeys

ROPE_SIZE, _BASE = "rope.dimension_count", "rope.freq_base"
_OLD_SCALE = "rope.scale_linear"
_SCALING = "rope.scaling."
_TYPE, _FACTOR, _ORIGINAL, _ATTENTION = (
    _SCALING + name for name in ("type", "factor", "original_context_length", "attn_factor")
)
_BETAS = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
ROPE_KEYS = frozenset(
    {
        *(ROPE_SIZE, _BASE, _OLD_SCALE, _TYPE, _FACTOR, _ORIGINAL, _ATTENTION),
        *(_SCALING + name for name in _BETAS),
    }
)
# How much a scaling extrapolates; what is trained with yarn has 1.
ROPE_AT: Mapping[str, tuple[Any, ...]] = {
    f"{_SCALING}yarn_ext_factor": (1.0,),
    f"{_SCALING}yarn_attn_factor": (1.0,),
    f"{_SCALING}yarn_log_multiplier": (0.0,),
}
ROPE_IGNORED = frozenset({f"{_SCALING}finetuned"})


def convert_rope(keys: ModelKeys, head_width: int) -> dict[str, Any]:
    """Return the fields of mypt's config that say how positions are rotated.

    Raises:
        FormatError: The rule is one that mypt's config does not have.
    """
    size = keys.whole(ROPE_SIZE, head_width)
    fields: dict[str, Any] = {
        "pos_encoding": "rope",
        "rope_size": None if size == head_width else size,
        "rope_theta": keys.real(_BASE, 10000.0),
    }
    kind = keys.get(_TYPE, "linear")
    attention = keys.real(_ATTENTION, 1.0)
    if kind == "yarn":
        return {**fields, "rope_scaling": _convert_yarn(keys, attention)}
    if attention != 1.0:
        raise keys.unsupported(_ATTENTION, f"is {attention}, which mypt has for yarn alone")
    if kind not in ("linear", "none"):
        what = f"is {kind!r:.60}; mypt's config has linear and yarn"
        raise keys.unsupported(_TYPE, what)
    factor = keys.real(_FACTOR, keys.real(_OLD_SCALE, 0.0)) if kind == "linear" else 0.0
    return {**fields, "rope_scale": factor or 1.0}


def _convert_yarn(keys: ModelKeys, attention: float) -> dict[str, Any]:
    factor = keys.real(_FACTOR)
    scaling: dict[str, Any] = {
        "kind": "yarn",
        "factor": factor,
        "original_block_size": keys.whole(_ORIGINAL),
    }
    scaling |= {
        ours: keys.real(_SCALING + theirs)
        for theirs, ours in _BETAS.items()
        if _SCALING + theirs in keys.values
    }
    if attention != 1.0:
        scaling["attention_factor"] = attention * _usual_factor(factor)
    return scaling


def describe_rope(config: GPTConfig) -> dict[str, Any]:
    """Return the keys of a config, as far as they can say it."""
    keys: dict[str, Any] = {ROPE_SIZE: config.rotated_width, _BASE: float(config.rope_theta)}
    if config.rope_scale != 1.0:
        keys |= {_TYPE: "linear", _FACTOR: float(config.rope_scale)}
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "yarn":
        keys |= {
            _TYPE: "yarn",
            _FACTOR: float(scaling.factor),
            _ORIGINAL: scaling.original_block_size,
            **{_SCALING + theirs: float(getattr(scaling, ours)) for theirs, ours in _BETAS.items()},
        }
        if scaling.attention_factor is not None:
            keys[_ATTENTION] = scaling.attention_factor / _usual_factor(scaling.factor)
    return keys


def _usual_factor(factor: float) -> float:
    """Return yarn's factor on what is rotated where nothing else is said."""
    return 0.1 * math.log(factor) + 1.0
