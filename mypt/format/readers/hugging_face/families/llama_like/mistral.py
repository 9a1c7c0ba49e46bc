"""Hugging Face's Mistral, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    convert_decoder,
    describe_decoder,
    make_family,
)
from mypt.format.readers.hugging_face.families.windows import convert_single_window

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    return {**convert_decoder(hf_config, file), **convert_single_window(hf_config, file)}


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {**describe_decoder(config), "sliding_window": config.sliding_window}


MISTRAL = make_family(
    "mistral",
    "Mistral",
    defaults={
        **DEFAULTS,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4096 * 32,
        "sliding_window": 4096,
    },
    keys=("head_dim", "layer_types"),
    convert_config=_convert_config,
    describe=_describe,
)
