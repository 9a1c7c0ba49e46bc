"""Hugging Face's Granite, expressed in mypt's config: a Llama with four factors."""

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
from mypt.format.readers.shared.fields import make_unsupported_error, require_number

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_DIVISOR = "logits_scaling"
_FACTORS = {
    "embedding_multiplier": "embedding_scale",
    "residual_multiplier": "residual_scale",
    "attention_multiplier": "attn_scale",
}


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    divisor = require_number(hf_config, _DIVISOR, file)
    if divisor == 0:
        what = "is 0, by which logits cannot be divided"
        raise make_unsupported_error(file, f"/{_DIVISOR}", what, "restore the file")
    return {
        **convert_biased(hf_config, file),
        **{ours: require_number(hf_config, key, file) for key, ours in _FACTORS.items()},
        "logit_scale": 1 / divisor,
    }


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        **describe_decoder(config),
        **describe_biases(config),
        **{key: config.meaning_of(ours) for key, ours in _FACTORS.items()},
        _DIVISOR: 1 / config.logit_scale,
    }


GRANITE = make_family(
    "granite",
    "Granite",
    defaults={
        **DEFAULTS,
        "attention_bias": False,
        "mlp_bias": False,
        **dict.fromkeys((*_FACTORS, _DIVISOR), 1.0),
    },
    keys=("head_dim",),
    convert_config=_convert_config,
    describe=_describe,
)
