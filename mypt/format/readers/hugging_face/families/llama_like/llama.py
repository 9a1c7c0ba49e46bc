"""Hugging Face's Llama, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    convert_decoder,
    describe_decoder,
    make_family,
)
from mypt.format.readers.shared.fields import require_bool

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig


def convert_biased(hf_config: HFConfig, file: str, **options: Any) -> dict[str, Any]:
    """Return the fields of a model whose config has `attention_bias`, and perhaps `mlp_bias`.

    Args:
        hf_config: The complete config.
        file: Name of the file, for messages.
        **options: As `convert_decoder` takes them.
    """
    fields = convert_decoder(hf_config, file, **options)
    fields["bias"] = require_bool(hf_config, "attention_bias", file)
    if "mlp_bias" in hf_config:
        fields["mlp_bias"] = require_bool(hf_config, "mlp_bias", file)
    return fields


def describe_attention_bias(config: GPTConfig) -> dict[str, Any]:
    """Return the key that says whether attention has biases."""
    return {"attention_bias": config.has_qkv_bias or config.has_proj_bias}


def describe_biases(config: GPTConfig) -> dict[str, Any]:
    """Return the keys that say which parts have biases."""
    return {**describe_attention_bias(config), "mlp_bias": config.has_mlp_bias}


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {**describe_decoder(config), **describe_biases(config)}


LLAMA = make_family(
    "llama",
    "Llama",
    defaults={**DEFAULTS, "attention_bias": False, "mlp_bias": False},
    keys=("head_dim",),
    ignored=("max_sequence_length",),  # of early conversions; no release of transformers reads it
    rope_interleaved=(False,),
    convert_config=convert_biased,
    describe=_describe,
)
