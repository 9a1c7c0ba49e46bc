"""Hugging Face's Starcoder 2, expressed in mypt's config: Llama's layers with those of GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.activations import PLAIN
from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    LAYER,
    convert_decoder,
    describe_decoder,
    make_family,
)
from mypt.format.readers.hugging_face.families.windows import convert_single_window
from mypt.format.readers.shared.fields import require_bool

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_EPS = "norm_epsilon"
_LAYER = {**LAYER, "fwd.net.0": ("mlp.c_fc",), "fwd.net.2": ("mlp.c_proj",)}


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    has_biases = require_bool(hf_config, "use_bias", file)
    return {
        **convert_decoder(hf_config, file, eps=_EPS, table=PLAIN),
        **convert_single_window(hf_config, file),
        "bias": has_biases,
        "mlp_bias": has_biases,
        "norm_type": "layernorm",
    }


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        **describe_decoder(config, eps=_EPS, table=PLAIN),
        "use_bias": config.has_qkv_bias or config.has_proj_bias or config.has_mlp_bias,
        "sliding_window": config.sliding_window,
    }


STARCODER2 = make_family(
    "starcoder2",
    "Starcoder2",
    defaults={
        **{key: value for key, value in DEFAULTS.items() if key != "rms_norm_eps"},
        "vocab_size": 49152,
        "hidden_size": 3072,
        "intermediate_size": 12288,
        "num_hidden_layers": 30,
        "num_attention_heads": 24,
        "num_key_value_heads": 2,
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 4096,
        _EPS: 1e-5,
        "sliding_window": None,
        "use_bias": True,
        "tie_word_embeddings": True,
    },
    keys=("head_dim", "layer_types"),
    # of published configs; no release of transformers reads them
    ignored=(
        "activation_function",
        "attention_softmax_in_fp32",
        "layer_norm_epsilon",
        "scale_attention_softmax_in_fp32",
    ),
    mlp_type=("default",),
    norm_type=("layer_norm",),
    scale_attn_weights=(True,),
    dropouts=("residual_dropout", "embedding_dropout"),
    layer=_LAYER,
    convert_config=_convert_config,
    describe=_describe,
)
