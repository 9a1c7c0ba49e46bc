"""Hugging Face's Qwen 2 and Qwen 3, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    convert_decoder,
    describe_decoder,
    make_family,
)
from mypt.format.readers.hugging_face.families.llama_like.llama import (
    convert_biased,
    describe_attention_bias,
)
from mypt.format.readers.hugging_face.families.windows import (
    convert_windows,
    list_layer_types,
    read_layer_types,
)
from mypt.format.readers.shared.fields import require_bool, require_layers, require_number

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_DEFAULTS = {
    **DEFAULTS,
    "vocab_size": 151936,
    "intermediate_size": 22016,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}


def _convert_layers(hf_config: HFConfig, file: str) -> dict[str, Any]:
    """Return the windows: those of the layers from `max_window_layers` on, or of `layer_types`."""
    uses_window = require_bool(hf_config, "use_sliding_window", file)
    window = hf_config["sliding_window"] if uses_window else None
    first = require_number(hf_config, "max_window_layers", file)
    layers = require_layers(hf_config, "num_hidden_layers", file)
    default = [window is not None and layer >= first for layer in range(layers)]
    windowed = read_layer_types(hf_config, file, default)
    return convert_windows({"sliding_window": window}, file, windowed)


def _describe_layers(config: GPTConfig) -> dict[str, Any]:
    layers = config.n_layer
    windowed = [config.window_at(layer) is not None for layer in range(layers)]
    return {
        "use_sliding_window": any(windowed),
        "sliding_window": config.sliding_window,
        # what release 4 reads; it has windows in the last layers only
        "max_window_layers": windowed.index(True) if any(windowed) else layers,
        "layer_types": list_layer_types(config),
    }


def _convert_qwen2(hf_config: HFConfig, file: str) -> dict[str, Any]:
    return {
        **convert_decoder(hf_config, file),
        "qkv_bias": True,
        **_convert_layers(hf_config, file),
    }


def _describe_qwen2(config: GPTConfig) -> dict[str, Any]:
    return {**describe_decoder(config), **_describe_layers(config)}


def _convert_qwen3(hf_config: HFConfig, file: str) -> dict[str, Any]:
    return {
        **convert_biased(hf_config, file),
        "qk_norm": "head",
        **_convert_layers(hf_config, file),
    }


def _describe_qwen3(config: GPTConfig) -> dict[str, Any]:
    return {**_describe_qwen2(config), **describe_attention_bias(config)}


QWEN2 = make_family(
    "qwen2",
    "Qwen2",
    use_mrope=(False,),  # of published configs; its class does not read it
    defaults=_DEFAULTS,
    keys=("head_dim", "layer_types"),
    convert_config=_convert_qwen2,
    describe=_describe_qwen2,
)
QWEN3 = make_family(
    "qwen3",
    "Qwen3",
    defaults={**_DEFAULTS, "head_dim": 128, "attention_bias": False},
    keys=("layer_types",),
    convert_config=_convert_qwen3,
    describe=_describe_qwen3,
)
