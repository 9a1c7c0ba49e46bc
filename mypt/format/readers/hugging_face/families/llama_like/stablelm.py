"""Hugging Face's StableLM, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    convert_decoder,
    describe_decoder,
    make_family,
)
from mypt.format.readers.shared.fields import make_unsupported_error, require_bool

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_EPS = "layer_norm_eps"


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    is_parallel = require_bool(hf_config, "use_parallel_residual", file)
    fields = convert_decoder(hf_config, file, eps=_EPS, part=0.25)
    if (fields["rope_size"] or 0) % 2:
        what = f"rotates {fields['rope_size']} values of each head, for which its class fails"
        raise make_unsupported_error(file, "/partial_rotary_factor", what, "restore the file")
    return {
        **fields,
        "qkv_bias": require_bool(hf_config, "use_qkv_bias", file),
        "norm_type": "layernorm",
        "block_type": "parallel" if is_parallel else "pre_norm",
    }


def _describe(config: GPTConfig) -> dict[str, Any]:
    held = describe_decoder(config, eps=_EPS, is_partial=True)
    del held["head_dim"]
    return {
        **held,
        "use_qkv_bias": config.has_qkv_bias,
        "use_parallel_residual": config.block_type == "parallel",
    }


STABLELM = make_family(
    "stablelm",
    "StableLm",
    defaults={
        **{key: value for key, value in DEFAULTS.items() if key != "rms_norm_eps"},
        "vocab_size": 50304,
        "intermediate_size": 6912,
        "hidden_size": 2560,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        _EPS: 1e-5,
        "use_qkv_bias": False,
        "use_parallel_residual": False,
    },
    dropouts=("hidden_dropout",),
    # norms with other weights for each head, and without the biases of the other norms
    qk_layernorm=(False,),
    convert_config=_convert_config,
    describe=_describe,
)
