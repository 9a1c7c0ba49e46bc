"""Hugging Face's Llama in the terms of mypt's config."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.layout import BUILT_IN, causal_attention
from mypt.format.readers.shared.fields import known, number_of, refuse
from mypt.format.readers.shared.tensor_map import HEAD, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts, Tensors

_PREFIX = "model."
_OUTSIDE = {"token_embedding_table": "embed_tokens", "ln_f": "norm"}
_INSIDE = {
    "ln1": ("input_layernorm",),
    "ln2": ("post_attention_layernorm",),
    "sa.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "sa.q": ("self_attn.q_proj",),
    "sa.kv": ("self_attn.k_proj", "self_attn.v_proj"),
    "sa.proj": ("self_attn.o_proj",),
    "fwd.w_gate": ("mlp.gate_proj",),
    "fwd.w_up": ("mlp.up_proj",),
    "fwd.w_down": ("mlp.down_proj",),
}
_BUFFER = re.compile(r".*\.rotary_emb\.inv_freq")
# The part of a package that shares keys and values among heads, and the package.
_GROUPED, GROUPED_PACKAGE = "grouped_query", "mypt-grouped-query"


def _grouped_attention(config: GPTConfig) -> Tensors:
    """Give the tensors of grouped-query attention; rows of kv are all keys, then all values."""
    kv_width = config.plugins[GROUPED_PACKAGE]["n_kv_head"] * config.head_width
    tensors: Tensors = {}
    for name, rows in (("q", config.attention_width), ("kv", 2 * kv_width)):
        tensors[f"{name}.weight"] = (rows, config.n_embd)
        if config.has_qkv_bias:
            tensors[f"{name}.bias"] = (rows,)
    whole = causal_attention(config)
    return tensors | {name: shape for name, shape in whole.items() if name.startswith("proj.")}


LAYOUTS: Layouts = {**BUILT_IN, ("attention_type", _GROUPED): _grouped_attention}


def config_fields(held: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Give fields of mypt's config.

    Raises:
        FormatError: A size is missing, or it is something that mypt's config cannot say.
    """
    heads = number_of(held, "num_attention_heads", file)
    groups = number_of(held, "num_key_value_heads", file, heads)
    if heads % groups:
        what = f"is {groups}, which does not divide the {heads} heads"
        raise refuse(file, "/num_key_value_heads", what, "restore the file")
    if held.get("hidden_act", "silu") not in ("silu", "swish"):
        what = f"is {held['hidden_act']}; mypt's swiglu has silu"
        raise refuse(file, "/hidden_act", what, "install a plugin that reads it")
    width = number_of(held, "hidden_size", file)
    attention_bias = held.get("attention_bias", False)
    return {
        "block_size": number_of(held, "max_position_embeddings", file),
        "vocab_size": number_of(held, "vocab_size", file),
        "n_embd": width,
        "n_head": heads,
        "n_layer": number_of(held, "num_hidden_layers", file),
        "head_size": _head_size(held, width, heads, file),
        "mlp_hidden": number_of(held, "intermediate_size", file),
        **known(held, {"attention_dropout": "dropout"}),
        "bias": attention_bias,
        "mlp_bias": held.get("mlp_bias", False),
        "head_bias": False,
        "tie_weights": held.get("tie_word_embeddings", False),
        "pos_encoding": "rope",
        "mlp_type": "swiglu",
        "norm_type": "rmsnorm",
        "norm_eps": held.get("rms_norm_eps", 1e-6),
        **_rope(held, file),
        **({} if groups == heads else _grouped(groups)),
    }


def names(tensors: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], Source]]:
    """Give the tensors without buffers, and where each tensor of mypt is."""
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in tensors) else ""

    def source_of(name: str) -> Source:
        module, _, kind = name.rpartition(".")
        if name == HEAD:
            return Source((HEAD,))
        if module in _OUTSIDE:
            return Source((f"{prefix}{_OUTSIDE[module]}.{kind}",))
        _, layer, inside = module.split(".", 2)
        return Source(tuple(f"{prefix}layers.{layer}.{part}.{kind}" for part in _INSIDE[inside]))

    kept = {name: tensor for name, tensor in tensors.items() if not _BUFFER.fullmatch(name)}
    return kept, source_of


def notes(held: Mapping[str, Any]) -> list[str]:
    """Say what differs in training."""
    if not held.get("attention_dropout"):
        return []
    return ["dropout is that of `attention_dropout`, for the other parts as well"]


def _grouped(heads: int) -> dict[str, Any]:
    plugins = {GROUPED_PACKAGE: {"n_kv_head": heads}}
    return {"attention_type": _GROUPED, "plugins": plugins}


def _head_size(held: Mapping[str, Any], width: int, heads: int, file: str) -> int | None:
    size = number_of(held, "head_dim", file, width // heads)
    return None if size * heads == width else size


def _rope(held: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Give the rotary base and scale, as transformers 4 and 5 write them."""
    said = held.get("rope_parameters") or held.get("rope_scaling") or {}
    where = "/rope_parameters" if held.get("rope_parameters") else "/rope_scaling"
    if not isinstance(said, dict):
        raise refuse(file, where, "is no object", "restore the file")
    theta = said.get("rope_theta", held.get("rope_theta", 10000.0))
    kind = said.get("rope_type", said.get("type", "default"))
    partial = said.get("partial_rotary_factor", held.get("partial_rotary_factor", 1.0))
    if partial not in (None, 1.0):
        what = f"turns only {partial} of each head"
        raise refuse(file, f"{where}/partial_rotary_factor", what, "install a plugin")
    if kind == "default":
        return {"rope_theta": theta}
    if kind == "linear":
        return {"rope_theta": theta, "rope_scale": said.get("factor")}
    what = f"scales positions by the rule `{kind}`; a config says the linear one only"
    raise refuse(file, where, what, "install a plugin that has it as its pos_encoding")
