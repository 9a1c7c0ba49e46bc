"""Hugging Face's OLMo and OLMo 2, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    LAYER,
    describe_decoder,
    make_family,
)
from mypt.format.readers.hugging_face.families.llama_like.llama import (
    convert_biased,
    describe_attention_bias,
)

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_DEFAULTS = {**DEFAULTS, "vocab_size": 50304, "attention_bias": False}
_EPS = "rms_norm_eps"
_EPS_OF_OLMO = 1e-5  # which its class does not let one choose
# The norms are behind the parts that they belong to.
_LAYER = {
    **LAYER,
    "ln1": ("post_attention_layernorm",),
    "ln2": ("post_feedforward_layernorm",),
}


def _convert_olmo(hf_config: HFConfig, file: str) -> dict[str, Any]:
    return {
        **convert_biased({**hf_config, _EPS: _EPS_OF_OLMO}, file),
        "norm_type": "layernorm",
        "norm_weight": False,
    }


def _describe_olmo(config: GPTConfig) -> dict[str, Any]:
    held = {**describe_decoder(config), **describe_attention_bias(config)}
    del held[_EPS]
    return held


def _convert_olmo2(hf_config: HFConfig, file: str) -> dict[str, Any]:
    fields = convert_biased(hf_config, file)
    return {**fields, "block_type": "res_post_norm", "qk_norm": "width"}


def _describe_olmo2(config: GPTConfig) -> dict[str, Any]:
    return {**describe_decoder(config), **describe_attention_bias(config)}


OLMO = make_family(
    "olmo",
    "Olmo",
    defaults={key: value for key, value in _DEFAULTS.items() if key != _EPS},
    keys=("head_dim",),
    clip_qkv=(None,),
    convert_config=_convert_olmo,
    describe=_describe_olmo,
)
OLMO2 = make_family(
    "olmo2",
    "Olmo2",
    defaults={**_DEFAULTS, _EPS: 1e-5},
    keys=("head_dim",),
    layer=_LAYER,
    convert_config=_convert_olmo2,
    describe=_describe_olmo2,
)
