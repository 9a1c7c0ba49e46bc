"""litgpt's `model_config.yaml`, expressed in mypt's config.

Source: `config.py` and `model.py` of litgpt 0.4.0 to 0.5.13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.litgpt.layers import convert_layers
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_layers,
    require_positive_int,
)
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of its class; a document holds all fields of the release that wrote it.
DEFAULTS: Mapping[str, Any] = {
    "name": "",
    "hf_config": {},
    "block_size": 4096,
    "n_layer": 16,
    "n_embd": 4096,
    "vocab_size": 50254,
    "padding_multiple": 512,
    "padded_vocab_size": None,
    "norm_class_name": "LayerNorm",
    "norm_eps": 1e-5,
    "norm_qk": False,
    "norm_qk_type": "default",
    "post_attention_norm": False,
    "post_mlp_norm": False,
    "parallel_residual": True,
    "shared_attention_norm": False,
    "n_head": 32,
    "head_size": None,
    "n_query_groups": None,
    "attn_bias": False,
    "attention_scores_scalar": None,
    "sliding_window_size": None,
    "sliding_window_indices": None,
    "attention_logit_softcapping": None,
    "rope_base": 10000,
    "rotary_percentage": 0.25,
    "rope_condense_ratio": 1,
    "rope_adjustments": None,
    "rope_interleave": False,
    "intermediate_size": None,
    "bias": True,
    "mlp_class_name": "GptNeoxMLP",
    "gelu_approximate": "none",
    "scale_embeddings": False,
    "lm_head_bias": False,
    "final_logit_softcapping": None,
    "norm_1": True,
    "norm_2": True,
    "rope_local_base_freq": None,
    "rope_indices": None,
}
# Fields that count for models of experts alone, which another field announces.
OF_EXPERTS: Mapping[str, Any] = {
    "moe_intermediate_size": None,
    "n_expert": 0,
    "n_shared_expert": None,
    "n_topk_groups": None,
    "n_topk_scores_per_group": None,
    "n_expert_per_token": 0,
    "routed_scaling_factor": 1.0,
    "norm_topk_prob": False,
}
# Fields with which litgpt builds other parts, but for these values.
WITHOUT: Mapping[str, Any] = {
    "first_k_dense_replace": None,
    "latent_attention": None,
    "n_expert_groups": None,
}
_OLD = frozenset({"sliding_window_layer_placing"})  # until 0.5.7
_KEYS = KnownKeys(
    read=frozenset(DEFAULTS) | _OLD,
    ignored=frozenset(OF_EXPERTS),
    ignored_at={name: (value,) for name, value in WITHOUT.items()},
)
_PLUGIN = "install a plugin that reads it"
_RESTORE = "restore the file"
# The norms of a block, by whether they are there: norm_1, norm_2, post_attention_norm and
# post_mlp_norm, of blocks whose parts follow one another.
BLOCKS: Mapping[tuple[bool, ...], str] = {
    (True, True, False, False): "pre_norm",
    (True, True, True, True): "sandwich_norm",
    (False, False, True, True): "res_post_norm",
}
NORM_FIELDS = ("norm_1", "norm_2", "post_attention_norm", "post_mlp_norm")
# The feed-forward part, by its class and the form of its GELU.
MLPS: Mapping[tuple[str, str], str] = {
    ("GptNeoxMLP", "none"): "gelu",
    ("GptNeoxMLP", "tanh"): "gelu_tanh",
    ("LLaMAMLP", "none"): "swiglu",
    ("GemmaMLP", "none"): "geglu",
    ("GemmaMLP", "tanh"): "geglu_tanh",
}
NORMS: Mapping[str, str] = {"LayerNorm": "layernorm", "RMSNorm": "rmsnorm"}
QK_NORMS: Mapping[str, str] = {"default": "head", "olmo2": "width"}
# What the name of a model changes: norms whose scale is 1 plus the weight, norms without weights.
WITH_OFFSET, WITHOUT_WEIGHTS = "Gemma", "OLMo"


def complete(document: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return a document with the defaults of litgpt's class for what it leaves out.

    Raises:
        FormatError: It has a field that mypt does not know.
    """
    check_keys(document, _KEYS, file)
    return {**DEFAULTS, **document}


def convert_config(held: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the fields of mypt's config, but for whether the head is tied.

    Args:
        held: A complete document.
        file: Its name, for messages.

    Raises:
        FormatError: A field is not what it must be, or mypt's config cannot express the model.
    """
    heads, width = (require_positive_int(held, name, file) for name in ("n_head", "n_embd"))
    groups = require_positive_int(held, "n_query_groups", file, heads)
    if heads % groups:
        what = f"is {groups}, which does not divide the {heads} heads"
        raise make_unsupported_error(file, "/n_query_groups", what, _RESTORE)
    if held["head_size"] is None and width % heads:
        what = f"is {heads}, which does not divide n_embd ({width}), and head_size is null"
        raise make_unsupported_error(file, "/n_head", what, _RESTORE)
    head_size = require_positive_int(held, "head_size", file, width // heads)
    bias = require_bool(held, "bias", file)
    return {
        "block_size": require_positive_int(held, "block_size", file),
        "vocab_size": _find_vocab_size(held, file),
        "n_embd": width,
        "n_head": heads,
        "n_kv_head": None if groups == heads else groups,
        "n_layer": require_layers(held, "n_layer", file),
        "head_size": None if head_size * heads == width else head_size,
        "dropout": 0.0,
        "bias": bias,
        "qkv_bias": bias or require_bool(held, "attn_bias", file),
        "mlp_bias": bias,
        "head_bias": require_bool(held, "lm_head_bias", file),
        "block_type": _convert_block(held, file),
        **_convert_mlp(held, width, file),
        **_convert_norms(held, file),
        **_convert_scales(held, width, file),
        **convert_layers(held, head_size, file),
    }


def find_name(held: Mapping[str, Any], file: str) -> str:
    """Return the name of the model, on which the class of its norms depends.

    Raises:
        FormatError: It is no text.
    """
    inner = held["hf_config"]
    name = held["name"] or (inner.get("name", "") if isinstance(inner, dict) else "")
    if not isinstance(name, str):
        raise make_unsupported_error(file, "/name", "is not a text", _RESTORE)
    return name


def _find_vocab_size(held: Mapping[str, Any], file: str) -> int:
    """Return the number of rows, which litgpt rounds up where it is not said."""
    size = require_positive_int(held, "vocab_size", file)
    multiple = require_positive_int(held, "padding_multiple", file)
    return require_positive_int(held, "padded_vocab_size", file, -(-size // multiple) * multiple)


def _convert_block(held: Mapping[str, Any], file: str) -> str:
    flags = tuple(require_bool(held, name, file) for name in NORM_FIELDS)
    shared = require_bool(held, "shared_attention_norm", file)
    if require_bool(held, "parallel_residual", file):
        if shared and flags in ((True, True, False, False), (True, False, False, False)):
            return "parallel"
        if not shared and flags == (True, True, False, False):
            return "parallel_two_norms"
    elif not shared and flags in BLOCKS:
        return BLOCKS[flags]
    chosen = (*NORM_FIELDS, "parallel_residual", "shared_attention_norm")
    what = f"are {', '.join(f'{n}={held[n]}' for n in chosen)}, which no block of mypt's has"
    raise make_unsupported_error(file, "/norm_1", what, _PLUGIN)


def _convert_mlp(held: Mapping[str, Any], width: int, file: str) -> dict[str, Any]:
    kind, form = held["mlp_class_name"], held["gelu_approximate"]
    if kind == "LLaMAMLP":
        form = "none"  # it has no GELU
    classes = dict.fromkeys(name for name, _ in MLPS)
    if kind not in classes:
        what = f"is {kind}; mypt has {', '.join(classes)}"
        raise make_unsupported_error(file, "/mlp_class_name", what, _PLUGIN)
    if (kind, form) not in MLPS:
        what = f"is {form!r}, neither none nor tanh"
        raise make_unsupported_error(file, "/gelu_approximate", what, _RESTORE)
    if kind == "LLaMAMLP" and held["intermediate_size"] is None:
        raise make_unsupported_error(file, "/intermediate_size", "is missing", _RESTORE)
    hidden = require_positive_int(held, "intermediate_size", file, 4 * width)
    return {"mlp_type": MLPS[kind, form], "mlp_hidden": hidden}


def _convert_norms(held: Mapping[str, Any], file: str) -> dict[str, Any]:
    kind = held["norm_class_name"]
    if kind not in NORMS:
        what = f"is {kind}; mypt has {' and '.join(NORMS)}"
        raise make_unsupported_error(file, "/norm_class_name", what, _PLUGIN)
    name = find_name(held, file)
    fields: dict[str, Any] = {"norm_type": NORMS[kind], "norm_eps": held["norm_eps"]}
    if kind == "RMSNorm" and WITH_OFFSET in name:
        fields["norm_offset"] = 1.0
    if kind == "LayerNorm" and WITHOUT_WEIGHTS in name:
        fields["norm_weight"] = False
    if require_bool(held, "norm_qk", file):
        form = held["norm_qk_type"]
        if form not in QK_NORMS:
            what = f"is {form!r}, neither {' nor '.join(QK_NORMS)}"
            raise make_unsupported_error(file, "/norm_qk_type", what, _RESTORE)
        fields["qk_norm"] = QK_NORMS[form]
    return fields


def _convert_scales(held: Mapping[str, Any], width: int, file: str) -> dict[str, Any]:
    scalar = held["attention_scores_scalar"] or None  # 0 is none in litgpt as well
    if scalar is not None and not (type(scalar) in (int, float) and scalar > 0):
        what = f"is {scalar!r}, not a positive number"
        raise make_unsupported_error(file, "/attention_scores_scalar", what, _RESTORE)
    scaled = require_bool(held, "scale_embeddings", file)
    return {
        "attn_scale": None if scalar is None else scalar**-0.5,
        "attn_soft_cap": held["attention_logit_softcapping"],
        "embedding_scale": width**0.5 if scaled else 1.0,
        "logit_soft_cap": held["final_logit_softcapping"],
    }
