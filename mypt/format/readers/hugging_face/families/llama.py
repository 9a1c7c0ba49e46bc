"""Hugging Face's Llama, expressed in mypt's config."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.layout import HEAD
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_positive_int,
)
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys
from mypt.format.readers.shared.tensor_source import TensorSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import Lookup

_OUTSIDE = {"token_embedding_table": "embed_tokens", "ln_f": "norm"}
_INSIDE = {
    "ln1": ("input_layernorm",),
    "ln2": ("post_attention_layernorm",),
    "sa.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "sa.proj": ("self_attn.o_proj",),
    "fwd.w_gate": ("mlp.gate_proj",),
    "fwd.w_up": ("mlp.up_proj",),
    "fwd.w_down": ("mlp.down_proj",),
}
_BUFFERS = re.compile(r".*\.rotary_emb\.inv_freq")
_INNER = ("embed_tokens.", "layers.", "norm.")
# LlamaConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
}
_ROPE = ("rope_parameters", "rope_scaling")
_KEYS = add_common_keys(
    {
        *_DEFAULTS,
        *_ROPE,
        "num_key_value_heads",
        "head_dim",
        "rope_theta",
        "partial_rotary_factor",
    },
    ignored=("max_sequence_length",),  # of early conversions; no release of transformers reads it
    rope_interleaved=(False,),
)
_ROPE_KEYS = frozenset({"rope_theta", "rope_type", "type", "partial_rotary_factor"})
# The rules of scaling positions, with their keys and mypt's names of these in `rope_scaling`.
_FACTOR = {"factor": "factor"}
_BEFORE = {"original_max_position_embeddings": "original_block_size"}
_YARN = {name: name for name in ("beta_fast", "beta_slow", "attention_factor", "truncate")}
_LLAMA3 = {name: name for name in ("low_freq_factor", "high_freq_factor")}
ROPE_RULES: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "linear": _FACTOR,
    "dynamic": _FACTOR,
    "llama3": {**_FACTOR, **_BEFORE, **_LLAMA3},
    "yarn": {**_FACTOR, **_BEFORE, **_YARN},
}
# What a rule without use for it may have all the same, as configs of transformers do.
_IGNORED = frozenset({*_FACTOR, *_BEFORE})


def _convert_config(hf_config: Mapping[str, Any], file: str) -> dict[str, Any]:
    heads = require_positive_int(hf_config, "num_attention_heads", file)
    groups = require_positive_int(hf_config, "num_key_value_heads", file, heads)
    if heads % groups:
        what = f"is {groups}, which does not divide the {heads} heads"
        raise make_unsupported_error(file, "/num_key_value_heads", what, "restore the file")
    if hf_config["hidden_act"] not in ("silu", "swish"):
        what = f"is {hf_config['hidden_act']}; mypt's swiglu uses silu"
        raise make_unsupported_error(file, "/hidden_act", what, "install a plugin that reads it")
    width = require_positive_int(hf_config, "hidden_size", file)
    return {
        "block_size": require_positive_int(hf_config, "max_position_embeddings", file),
        "vocab_size": require_positive_int(hf_config, "vocab_size", file),
        "n_embd": width,
        "n_head": heads,
        "n_kv_head": None if groups == heads else groups,
        "n_layer": require_positive_int(hf_config, "num_hidden_layers", file),
        "head_size": _infer_head_size(hf_config, width, heads, file),
        "mlp_hidden": require_positive_int(hf_config, "intermediate_size", file),
        "dropout": hf_config["attention_dropout"] or 0.0,
        "bias": require_bool(hf_config, "attention_bias", file),
        "mlp_bias": require_bool(hf_config, "mlp_bias", file),
        "head_bias": False,
        "pos_encoding": "rope",
        "mlp_type": "swiglu",
        "norm_type": "rmsnorm",
        "norm_eps": hf_config["rms_norm_eps"],
        **_convert_rope(hf_config, file),
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: Mapping[str, Any]) -> Lookup:  # noqa: ARG001
    shares = config.n_head, config.kv_heads, config.kv_heads

    def find_source(name: str) -> TensorSource:
        module, _, kind = name.rpartition(".")
        if name == HEAD:
            return TensorSource((HEAD,))
        if module in _OUTSIDE:
            return TensorSource((f"{prefix}{_OUTSIDE[module]}.{kind}",))
        _, layer, inside = module.split(".", 2)
        return TensorSource(
            tuple(f"{prefix}layers.{layer}.{part}.{kind}" for part in _INSIDE[inside]),
            shares=shares if inside == "sa.qkv" else (),
        )

    return find_source


def _list_notes(hf_config: Mapping[str, Any]) -> list[str]:
    if not hf_config["attention_dropout"]:
        return []
    return ["dropout is `attention_dropout`, for the other parts as well"]


def _infer_head_size(hf_config: Mapping[str, Any], width: int, heads: int, file: str) -> int | None:
    size = require_positive_int(hf_config, "head_dim", file, width // heads)
    return None if size * heads == width else size


def _convert_rope(hf_config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the rotary base and its scaling, from the fields of transformers 4 or 5."""
    where, rope = _choose_rope(hf_config, file)
    theta = rope.get("rope_theta", hf_config.get("rope_theta", 10000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    partial = rope.get("partial_rotary_factor", hf_config.get("partial_rotary_factor", 1.0))
    if partial not in (None, 1.0):
        what = f"rotates only {partial} of each head"
        raise make_unsupported_error(
            file, f"{where}/partial_rotary_factor", what, "install a plugin"
        )
    if kind not in ROPE_RULES:
        what = f"scales positions by the rule `{kind}`; mypt's config has {', '.join(ROPE_RULES)}"
        fix = "install a plugin that has it as its pos_encoding"
        raise make_unsupported_error(file, where, what, fix)
    own = ROPE_RULES[kind]
    check_keys(rope, KnownKeys(_ROPE_KEYS | own.keys(), _IGNORED - own.keys()), file, where)
    for key in own.keys() - _YARN.keys():
        if rope.get(key) is None:
            raise make_unsupported_error(file, f"{where}/{key}", "is missing", "restore the file")
    if kind == "default":
        return {"rope_theta": theta}
    if kind == "linear":
        return {"rope_theta": theta, "rope_scale": rope["factor"]}
    scaling = {ours: rope[key] for key, ours in own.items() if rope.get(key) is not None}
    before = {"original_block_size": hf_config["max_position_embeddings"]}  # of `dynamic`
    return {"rope_theta": theta, "rope_scaling": {"kind": kind, **before, **scaling}}


def _choose_rope(hf_config: Mapping[str, Any], file: str) -> tuple[str, Mapping[str, Any]]:
    """Return the fields of the rotation, and the pointer to them; mypt's exports have both."""
    held = {name: hf_config[name] for name in _ROPE if hf_config.get(name)}
    for name, rope in held.items():
        if not isinstance(rope, dict):
            raise make_unsupported_error(file, f"/{name}", "is not an object", "restore the file")
    if len(held) == 2 and held["rope_scaling"] != {
        name: value for name, value in held["rope_parameters"].items() if name != "rope_theta"
    }:
        what, fix = "contradicts rope_parameters", "remove the one that does not hold"
        raise make_unsupported_error(file, "/rope_scaling", what, fix)
    name = next(iter(held), "rope_scaling")
    return f"/{name}", held.get(name, {})


LLAMA = Family(
    model_type="llama",
    classes=("LlamaForCausalLM", "LlamaModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    roots=(*(f"model.{name}" for name in _INNER), *_INNER, "lm_head."),
    prefix="model.",
    embedding="embed_tokens.weight",
    buffers=_BUFFERS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=_list_notes,
)
