"""The table of the architectures.

Source: `src/llama-model.cpp` and `convert_hf_to_gguf.py` of the llama.cpp repository.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mypt.format.readers.gguf.architecture import Architecture, Fields, Shapes
from mypt.format.readers.gguf.model_keys import WINDOW
from mypt.format.readers.gguf.tensor_names import TensorOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.gguf.model_keys import ModelKeys

_ROPE = {"pos_encoding": "rope"}
_LLAMA = {**_ROPE, "norm_type": "rmsnorm", "mlp_type": "swiglu", "block_type": "pre_norm"}
_NO_BIASES = {"qkv_bias": False, "proj_bias": False, "mlp_bias": False}
_PLAIN = {**_LLAMA, **_NO_BIASES}
_NEOX = {"norm_type": "layernorm", "norm_bias": True}
_ALL_BIASES = {**_NEOX, "qkv_bias": True, "proj_bias": True, "mlp_bias": True}
_PAIRED = TensorOrder(pairs_rows=True)
_FUSED = TensorOrder(fuses_qkv=True)
_FALCON = TensorOrder(
    fuses_qkv=True,
    norms={"parallel_two_norms": {"ln1": "attn_norm_2", "ln2": "attn_norm"}},
)
_PARALLEL = "use_parallel_residual"
_EXACT_GELU = (
    "llama.cpp computes the tanh approximation of its GELU, and the model that it is for the exact"
)


def _convert_window(keys: ModelKeys, _: Fields) -> Fields:
    window = keys.get(WINDOW, 0)
    return {"sliding_window": keys.whole(WINDOW)} if window else {}


# --- Gemma ---

_SOFT_CAPS = {
    "attn_logit_softcapping": "attn_soft_cap",
    "final_logit_softcapping": "logit_soft_cap",
}
_CAPS_OF_GEMMA2 = {"attn_soft_cap": 50.0, "logit_soft_cap": 30.0}
_PATTERN, _SLIDING_BASE = "attention.sliding_window_pattern", "rope.freq_base_swa"
_GEMMA = {**_PLAIN, "mlp_type": "geglu_tanh"}
# llama.cpp knows the largest models by their number of layers, and scales their attention by the
# width of the model.
_LARGEST_GEMMA2, _LARGEST_GEMMA3 = 46, 62


def _convert_gemma(_: ModelKeys, fields: Fields) -> Fields:
    return {"embedding_scale": math.sqrt(fields["n_embd"])}


def _convert_gemma2(keys: ModelKeys, fields: Fields) -> Fields:
    caps = {
        ours: keys.real(theirs, _CAPS_OF_GEMMA2[ours]) or None
        for theirs, ours in _SOFT_CAPS.items()
    }
    return {
        **_convert_gemma(keys, fields),
        **caps,
        "sliding_window": keys.whole(WINDOW, 4096),
        "window_pattern": _convert_pattern(keys, fields, 2),
        **_scale_largest(fields, _LARGEST_GEMMA2),
    }


def _convert_gemma3(keys: ModelKeys, fields: Fields) -> Fields:
    found = {
        **_convert_gemma(keys, fields),
        "logit_soft_cap": keys.real("final_logit_softcapping", 0.0) or None,
        **_scale_largest(fields, _LARGEST_GEMMA3),
    }
    if not keys.get(WINDOW, 0):
        return found
    return {
        **found,
        "sliding_window": keys.whole(WINDOW),
        "window_pattern": _convert_pattern(keys, fields, 6),
        "rope_theta_sliding": keys.real(_SLIDING_BASE, 10000.0),
    }


def _scale_largest(fields: Fields, layers: int) -> Fields:
    if fields["n_layer"] != layers:
        return {}
    return {"attn_scale": (fields["n_embd"] / fields["n_head"]) ** -0.5}


def _convert_pattern(keys: ModelKeys, fields: Fields, period: int) -> str:
    """Return which layers are windowed: all but the last of each few, or as the file lists."""
    value = keys.values.get(_PATTERN, period)
    if isinstance(value, list):
        if len(value) != fields["n_layer"] or not all(type(one) is bool for one in value):
            raise keys.unsupported(_PATTERN, "does not say of each layer whether it is windowed")
        return "".join("S" if one else "F" for one in value)
    if type(value) is not int or not 0 < value <= fields["n_layer"] + period:
        raise keys.unsupported(_PATTERN, f"is {value!r:.60}, not a number of layers")
    return "S" * (value - 1) + "F"


def _describe_gemma2(config: GPTConfig) -> Fields:
    """Return the keys: llama.cpp cannot do without caps, and a window may be of all positions."""
    caps = {theirs: getattr(config, ours) for theirs, ours in _SOFT_CAPS.items()}
    return {
        **{theirs: float(cap) for theirs, cap in caps.items() if cap is not None},
        WINDOW: config.sliding_window or config.block_size,
    }


def _describe_gemma3(config: GPTConfig) -> Fields:
    return {
        **({WINDOW: config.sliding_window} if config.sliding_window else {}),
        **(
            {"final_logit_softcapping": float(config.logit_soft_cap)}
            if config.logit_soft_cap
            else {}
        ),
    }


# --- Granite ---

_GRANITE_SCALES = {
    "embedding_scale": "embedding_scale",
    "residual_scale": "residual_scale",
    "attention.scale": "attn_scale",
}
_DIVISOR = "logit_scale"


def _convert_granite(keys: ModelKeys, _: Fields) -> Fields:
    found = {
        ours: keys.real(theirs) for theirs, ours in _GRANITE_SCALES.items() if keys.get(theirs, 0.0)
    }
    divisor = keys.real(_DIVISOR, 0.0)
    return {**found, "logit_scale": 1 / divisor} if divisor else found


def _describe_granite(config: GPTConfig) -> Fields:
    return {
        "embedding_scale": float(config.embedding_scale),
        "residual_scale": float(config.residual_scale),
        "attention.scale": float(config.attention_scale),
        _DIVISOR: 1 / config.logit_scale,
    }


# --- the others ---


def _find_stablelm_block(shapes: Shapes) -> str:
    return "pre_norm" if "blk.0.ffn_norm.weight" in shapes else "parallel"


def _find_falcon_block(shapes: Shapes) -> str:
    return "parallel_two_norms" if "blk.0.attn_norm_2.weight" in shapes else "parallel"


def _convert_neox(keys: ModelKeys, _: Fields) -> Fields:
    return {"block_type": "parallel_two_norms" if keys.flag(_PARALLEL) else "pre_norm"}


_ARCHITECTURES = (
    Architecture(
        name="gpt2",
        fields={"pos_encoding": "learned", "mlp_type": "gelu_tanh", **_ALL_BIASES},
        order=_FUSED,
    ),
    Architecture(name="qwen2", fields={**_PLAIN, "qkv_bias": True}),
    Architecture(
        name="llama",
        fields=_LLAMA,
        turns_heads=True,
        takes_factors=True,
        order=_PAIRED,
        read=(WINDOW,),
        convert_own=_convert_window,
    ),
    Architecture(name="qwen3", fields={**_PLAIN, "qk_norm": "head"}),
    Architecture(
        name="starcoder2",
        fields={**_ROPE, "mlp_type": "gelu_tanh", **_ALL_BIASES},
    ),
    Architecture(
        name="phi2",
        fields={
            **_ROPE,
            "mlp_type": "gelu_tanh",
            **_ALL_BIASES,
            "block_type": "parallel",
            "head_bias": True,
        },
        order=_FUSED,
        ties="never",
    ),
    Architecture(
        name="stablelm",
        fields={**_LLAMA, **_NEOX, "proj_bias": False, "mlp_bias": False},
        ties="never",
        find_block=_find_stablelm_block,
        ignored=(_PARALLEL,),  # the tensors say it
    ),
    Architecture(
        name="phi3",
        fields=_PLAIN,
        order=TensorOrder(fuses_qkv=True, fuses_gate=True),
        read=(WINDOW,),
        convert_own=_convert_window,
    ),
    Architecture(
        name="smollm3",
        fields={**_PLAIN, "rope_pattern": "RRRN"},
        order=_PAIRED,
    ),
    Architecture(
        name="olmo2",
        fields={**_PLAIN, "block_type": "res_post_norm", "qk_norm": "width"},
    ),
    Architecture(
        name="olmo",
        fields={**_PLAIN, "norm_type": "layernorm", "norm_weight": False},
        order=_PAIRED,
    ),
    Architecture(
        name="granite",
        fields=_LLAMA,
        takes_factors=True,
        order=_PAIRED,
        read=(*_GRANITE_SCALES, _DIVISOR),
        ignored_at={"rope.scaling.finetuned": (True,)},
        convert_own=_convert_granite,
        describe_own=_describe_granite,
    ),
    Architecture(
        name="gemma",
        fields=_GEMMA,
        ties="always",
        convert_own=_convert_gemma,
    ),
    Architecture(
        name="gemma2",
        fields={**_GEMMA, "block_type": "sandwich_norm"},
        ties="always",
        read=(*_SOFT_CAPS, WINDOW, _PATTERN),
        convert_own=_convert_gemma2,
        describe_own=_describe_gemma2,
    ),
    Architecture(
        name="gemma3",
        fields={**_GEMMA, "block_type": "sandwich_norm", "qk_norm": "head"},
        read=("final_logit_softcapping", WINDOW, _PATTERN, _SLIDING_BASE),
        convert_own=_convert_gemma3,
        describe_own=_describe_gemma3,
    ),
    Architecture(
        name="gptneox",
        fields={**_ROPE, "mlp_type": "gelu", **_ALL_BIASES},
        order=_FUSED,
        ties="never",
        read=(_PARALLEL,),
        convert_own=_convert_neox,
        reason=_EXACT_GELU,
    ),
    Architecture(
        name="falcon",
        fields={**_ROPE, "mlp_type": "gelu", **_NEOX, **_NO_BIASES},
        order=_FALCON,
        turns_heads=True,
        find_block=_find_falcon_block,
        reason=_EXACT_GELU,
    ),
)
# In the order in which they are tried for a model that is written.
ARCHITECTURES: Mapping[str, Architecture] = {one.name: one for one in _ARCHITECTURES}
