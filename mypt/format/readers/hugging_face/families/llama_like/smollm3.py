"""Hugging Face's SmolLM 3, expressed in mypt's config: some layers do not rotate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    describe_decoder,
    make_family,
)
from mypt.format.readers.hugging_face.families.llama_like.llama import (
    convert_biased,
    describe_biases,
)
from mypt.format.readers.hugging_face.families.windows import (
    convert_windows,
    list_layer_types,
    make_pattern,
    read_layer_types,
)
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_layers,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_THETA = 2e6


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    rotated = _list_rotated(hf_config, file)
    uses_window = require_bool(hf_config, "use_sliding_window", file)
    has_window = uses_window and hf_config["sliding_window"] is not None
    windowed = read_layer_types(hf_config, file, [has_window and not layer for layer in rotated])
    if any(windowed) and not has_window:
        what = "has windows, which use_sliding_window or sliding_window denies"
        fix = "remove the one that does not hold"
        raise make_unsupported_error(file, "/layer_types", what, fix)
    return {
        **convert_biased(hf_config, file, theta=_THETA),
        "rope_pattern": make_pattern(rotated, "RN"),
        **convert_windows(hf_config, file, windowed),
    }


def _list_rotated(hf_config: HFConfig, file: str) -> Sequence[bool]:
    """Return which layers rotate: those of `no_rope_layers` that are 1, in spite of its name."""
    count = require_layers(hf_config, "num_hidden_layers", file)
    marks = hf_config["no_rope_layers"]
    if marks is None:
        interval = require_positive_int(hf_config, "no_rope_layer_interval", file)
        return [(layer + 1) % interval != 0 for layer in range(count)]
    if not isinstance(marks, list) or len(marks) < count or {*map(repr, marks)} - _MARKS:
        what = f"is not a list of 1 (rotates) and 0 (does not) for {count} layers"
        raise make_unsupported_error(file, "/no_rope_layers", what, "restore the file")
    return [bool(mark) for mark in marks[:count]]


_MARKS = frozenset({"0", "1", "False", "True"})


def _describe(config: GPTConfig) -> dict[str, Any]:
    layers = range(config.n_layer)
    return {
        **describe_decoder(config),
        **describe_biases(config),
        "no_rope_layers": [int(config.is_rotated(layer)) for layer in layers],
        "use_sliding_window": config.sliding_window is not None,
        "sliding_window": config.sliding_window,
        "layer_types": list_layer_types(config),
    }


SMOLLM3 = make_family(
    "smollm3",
    "SmolLM3",
    defaults={
        **DEFAULTS,
        "vocab_size": 128256,
        "hidden_size": 2048,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "use_sliding_window": False,
        "sliding_window": None,
        "no_rope_layers": None,
        "no_rope_layer_interval": 4,
    },
    keys=("head_dim", "layer_types"),
    ignored=("max_window_layers",),  # of published configs; its class does not read it
    convert_config=_convert_config,
    describe=_describe,
)
