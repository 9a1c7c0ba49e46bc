"""Hugging Face's Gemma 1, 2 and 3 (text), expressed in mypt's config."""

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
from mypt.format.readers.hugging_face.families.rope import convert_rope, describe_rotation
from mypt.format.readers.hugging_face.families.windows import (
    convert_windows,
    list_layer_types,
    read_layer_types,
)
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_layers,
    require_number,
    require_positive_int,
)
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig

_OLD, _NEW = "hidden_act", "hidden_activation"
# Its first releases wrote one name of GELU and computed the other.
_MEANT = {"gelu": "gelu_pytorch_tanh"}
_CAPS = {"attn_logit_softcapping": "attn_soft_cap", "final_logit_softcapping": "logit_soft_cap"}
_FULL, _SLIDING, _LOCAL = "full_attention", "sliding_attention", "rope_local_base_freq"
_PERIOD = "sliding_window_pattern"
_THETAS = {_FULL: 1e6, _SLIDING: 1e4}
_LAYER = {
    **LAYER,
    "ln1_post": ("post_attention_layernorm",),
    "ln2": ("pre_feedforward_layernorm",),
    "ln2_post": ("post_feedforward_layernorm",),
}
_GEMMA = {**DEFAULTS, "head_dim": 256, "tie_word_embeddings": True, "attention_bias": False}
_GEMMA2 = {
    **{key: value for key, value in _GEMMA.items() if key != _OLD},
    _NEW: "gelu_pytorch_tanh",
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}
# A way to keep keys and values; a name of the window that no class reads; what is not causal.
_COMMON: dict[str, Any] = {
    "ignored": ("cache_implementation", "sliding_window_size"),
    "use_bidirectional_attention": (None, False),
}


def _convert_gemma(
    hf_config: HFConfig, file: str, activation: str = _OLD, **options: Any
) -> dict[str, Any]:
    other = _NEW if activation == _OLD else _OLD
    meant = {key: str(hf_config[key]) for key in (_OLD, _NEW) if hf_config.get(key)}
    if _OLD in meant:
        meant[_OLD] = _MEANT.get(meant[_OLD], meant[_OLD])
    if len({*meant.values()}) > 1:
        what, fix = f"contradicts {activation}", "remove the one that does not hold"
        raise make_unsupported_error(file, f"/{other}", what, fix)
    changed = {**hf_config, activation: meant.get(activation, hf_config[activation])}
    fields = convert_biased(changed, file, activation=activation, **options)
    return {**fields, "norm_offset": 1.0, "embedding_scale": fields["n_embd"] ** 0.5}


def _describe_gemma(config: GPTConfig, activation: str = _OLD) -> dict[str, Any]:
    return {
        **describe_decoder(config, activation=activation),
        **describe_attention_bias(config),
    }


def _convert_gemma2(
    hf_config: HFConfig, file: str, windowed: Sequence[bool], **options: Any
) -> dict[str, Any]:
    scalar = require_number(hf_config, "query_pre_attn_scalar", file)
    if scalar <= 0:
        what = f"is {scalar}, not above 0"
        raise make_unsupported_error(file, "/query_pre_attn_scalar", what, "restore the file")
    return {
        **_convert_gemma(hf_config, file, _NEW, **options),
        "block_type": "sandwich_norm",
        "attn_scale": scalar**-0.5,
        **{ours: hf_config[key] for key, ours in _CAPS.items() if key in hf_config},
        **convert_windows(hf_config, file, read_layer_types(hf_config, file, windowed)),
    }


def _describe_gemma2(config: GPTConfig) -> dict[str, Any]:
    scalar = config.attention_scale**-2
    return {
        **_describe_gemma(config, _NEW),
        # a whole number in release 5
        "query_pre_attn_scalar": round(scalar) if round(scalar) else scalar,
        **{key: getattr(config, ours) for key, ours in _CAPS.items()},
        # its class needs a number even if no layer is windowed
        "sliding_window": config.sliding_window or config.block_size,
        "layer_types": list_layer_types(config),
    }


def _convert_every_other(hf_config: HFConfig, file: str) -> dict[str, Any]:
    layers = require_layers(hf_config, "num_hidden_layers", file)
    return _convert_gemma2(hf_config, file, [layer % 2 == 0 for layer in range(layers)])


def _convert_gemma3(hf_config: HFConfig, file: str) -> dict[str, Any]:
    layers = require_layers(hf_config, "num_hidden_layers", file)
    period = require_positive_int(hf_config, _PERIOD, file)
    if hf_config.get("layer_types") is None and hf_config.get(f"_{_PERIOD}", period) != period:
        what, fix = f"contradicts {_PERIOD}", "remove the one that does not hold"
        raise make_unsupported_error(file, f"/_{_PERIOD}", what, fix)
    windowed = [(layer + 1) % period != 0 for layer in range(layers)]
    full, sliding = _split_rope(hf_config, file)
    fields = _convert_gemma2(full, file, windowed, theta=_THETAS[_FULL])
    rope = convert_rope(full, file, 0, theta=_THETAS[_FULL])
    local = convert_rope(sliding, file, 0, theta=_THETAS[_SLIDING])
    if fields.get("sliding_window") is not None and local != rope:
        if local.keys() != {"rope_theta"}:
            what = "scales the positions of windowed layers, which mypt's config cannot express"
            where = f"/rope_parameters/{_SLIDING}"
            raise make_unsupported_error(file, where, what, "install a plugin that reads it")
        fields["rope_theta_sliding"] = local["rope_theta"]
    return {**fields, "qk_norm": "head"}


def _split_rope(hf_config: HFConfig, file: str) -> tuple[HFConfig, HFConfig]:
    """Return configs with the rotation of all other and of windowed layers, as one has it."""
    nested = hf_config.get("rope_parameters") or {}
    if not isinstance(nested, dict):
        what = "is not an object"
        raise make_unsupported_error(file, "/rope_parameters", what, "restore the file")
    check_keys(nested, KnownKeys(frozenset(_THETAS)), file, "/rope_parameters")
    full = {**hf_config, "rope_parameters": nested.get(_FULL)}
    theta = hf_config.get(_LOCAL)
    only = {"rope_parameters": nested.get(_SLIDING), "rope_scaling": None, "rope_theta": theta}
    return full, {**hf_config, **only}


def _describe_gemma3(config: GPTConfig) -> dict[str, Any]:
    local = config.rope_theta_sliding or config.rope_theta
    rule = describe_rotation(config) or {"rope_type": "default"}
    return {
        **_describe_gemma2(config),
        "attn_logit_softcapping": None,
        _LOCAL: local,
        "rope_parameters": {
            _FULL: {**rule, "rope_theta": config.rope_theta},
            _SLIDING: {"rope_type": "default", "rope_theta": local},
        },
    }


GEMMA = make_family(
    "gemma",
    "Gemma",
    defaults={
        **_GEMMA,
        "vocab_size": 256000,
        "hidden_size": 3072,
        "intermediate_size": 24576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        _OLD: "gelu_pytorch_tanh",
        "max_position_embeddings": 8192,
    },
    keys=(_NEW,),
    **_COMMON,
    convert_config=_convert_gemma,
    describe=_describe_gemma,
)
GEMMA2 = make_family(
    "gemma2",
    "Gemma2",
    defaults={
        **_GEMMA2,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    keys=(_OLD, "layer_types"),
    **_COMMON,
    layer=_LAYER,
    convert_config=_convert_every_other,
    describe=_describe_gemma2,
)
GEMMA3 = make_family(
    "gemma3_text",
    "Gemma3",
    base="Gemma3Text",
    defaults={
        **_GEMMA2,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "final_logit_softcapping": None,
        _PERIOD: 6,
    },
    keys=(_OLD, _LOCAL, f"_{_PERIOD}", "layer_types"),
    **_COMMON,
    attn_logit_softcapping=(None,),  # which its class has and does not use
    layer=_LAYER,
    convert_config=_convert_gemma3,
    describe=_describe_gemma3,
)
