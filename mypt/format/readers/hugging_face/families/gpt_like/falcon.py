"""Falcon."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.activations import (
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.alibi import ALIBI, LAYOUTS, PACKAGE
from mypt.format.readers.hugging_face.families.gpt_like.fields import note_dropouts, take_sizes
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.families.rope import ROPE_KEYS, convert_rope, describe_rope
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.row_orders import join_groups
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_number,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

_INSIDE = {
    "sa.qkv": ("self_attention.query_key_value",),
    "sa.proj": ("self_attention.dense",),
    "fwd.net.0": ("mlp.dense_h_to_4h",),
    "fwd.net.2": ("mlp.dense_4h_to_h",),
}
# The norms of a block, by mypt's type of it.
_NORMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "pre_norm": {"ln1": ("input_layernorm",), "ln2": ("post_attention_layernorm",)},
    "parallel": {"ln1": ("input_layernorm",)},
    "parallel_two_norms": {"ln1": ("ln_attn",), "ln2": ("ln_mlp",)},
}
_BUFFERS = re.compile(r".*\.(?:rotary_emb|maybe_rotary|rotary)\.inv_freq")
_DROPOUTS = ("hidden_dropout", "attention_dropout")
_NEW, _SHARED, _PARALLEL = "new_decoder_architecture", "multi_query", "parallel_attn"
_COUNT = "num_ln_in_parallel_attn"
# FalconConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 65024,
    "hidden_size": 4544,
    "num_hidden_layers": 32,
    "num_attention_heads": 71,
    "layer_norm_epsilon": 1e-5,
    **dict.fromkeys(_DROPOUTS, 0.0),
    ALIBI: False,
    _NEW: False,
    _SHARED: True,
    _PARALLEL: True,
    "bias": False,
    "max_position_embeddings": 2048,
    "activation": "gelu",
    "tie_word_embeddings": True,
}
_KEYS = add_common_keys(
    {*_DEFAULTS, *ROPE_KEYS, _COUNT, "num_kv_heads", "ffn_hidden_size"},
    # what the class does, whatever it says
    apply_residual_connection_post_layernorm=(False,),
)


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    sizes = take_sizes(
        hf_config,
        file,
        block_size="max_position_embeddings",
        n_embd="hidden_size",
        n_head="num_attention_heads",
        n_layer="num_hidden_layers",
    )
    width, heads = sizes["n_embd"], sizes["n_head"]
    groups = _count_groups(hf_config, heads, file)
    has_bias = _is_set(hf_config, "bias", file)
    return {
        **sizes,
        "n_kv_head": None if groups == heads else groups,
        "mlp_hidden": require_positive_int(hf_config, "ffn_hidden_size", file, 4 * width),
        "dropout": hf_config["hidden_dropout"] or 0.0,
        "bias": has_bias,
        "mlp_bias": has_bias,
        "head_bias": False,
        "mlp_type": convert_activation(hf_config, "activation", file, PLAIN),
        "norm_eps": require_number(hf_config, "layer_norm_epsilon", file),
        "block_type": _choose_block(hf_config, file),
        **_convert_positions(hf_config, width // heads, file),
    }


def _count_groups(hf_config: HFConfig, heads: int, file: str) -> int:
    """Return the number of heads of keys."""
    is_new, is_shared = (_is_set(hf_config, name, file) for name in (_NEW, _SHARED))
    groups = require_positive_int(hf_config, "num_kv_heads", file, heads)
    if is_shared and not is_new:
        return 1
    if groups != heads and not is_new:
        what = f"is {groups}; without {_NEW} and {_SHARED}, its class has as many as heads, {heads}"
        raise make_unsupported_error(file, "/num_kv_heads", what, "restore the file")
    return groups


def _choose_block(hf_config: HFConfig, file: str) -> str:
    is_new, is_parallel = (_is_set(hf_config, name, file) for name in (_NEW, _PARALLEL))
    norms = require_positive_int(hf_config, _COUNT, file, 2 if is_new else 1)
    if is_new and not is_parallel:
        what = f"is false beside {_NEW}, with which its class fails"
        raise make_unsupported_error(file, f"/{_PARALLEL}", what, "restore the file")
    if not is_parallel:
        return "pre_norm"
    if norms not in (1, 2) if is_new else norms == 2:
        what = f"is {norms}, with which its class fails"
        raise make_unsupported_error(file, f"/{_COUNT}", what, "restore the file")
    return "parallel_two_norms" if norms == 2 else "parallel"


def _is_set(hf_config: HFConfig, name: str, file: str) -> bool:
    """Return a field that is true, false or null, which is false to its class."""
    return hf_config[name] is not None and require_bool(hf_config, name, file)


def _convert_positions(hf_config: HFConfig, head_width: int, file: str) -> dict[str, Any]:
    if _is_set(hf_config, ALIBI, file):
        return {"pos_encoding": ALIBI, "plugins": {PACKAGE: _make_settings(head_width)}}
    return {"pos_encoding": "rope", **convert_rope(hf_config, file, head_width)}


def _make_settings(head_width: int) -> dict[str, Any]:
    """Return the settings of Falcon's biases: rounded, and scaled like the products of queries."""
    return {"factor": head_width**-0.5, "dtype": "bfloat16"}


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    places = Places(
        outside={"token_embedding_table": "word_embeddings", "ln_f": "ln_f"},
        layers="h",
        inside={**_INSIDE, **_NORMS[config.block_type]},
    )
    return places.make_lookup(config, prefix, {"sa.qkv": join_groups(config)})


def _describe(config: GPTConfig) -> dict[str, Any]:
    is_parallel = config.block_type != "pre_norm"
    is_grouped = config.kv_heads not in (1, config.n_head)
    is_new = is_parallel and (is_grouped or config.block_type == "parallel_two_norms")
    norms = {_COUNT: 2 if config.block_type == "parallel_two_norms" else 1} if is_new else {}
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "layer_norm_epsilon": config.norm_epsilon,
        "hidden_dropout": config.dropout,
        "attention_dropout": config.dropout,
        ALIBI: config.pos_encoding == ALIBI,
        _NEW: is_new,
        _SHARED: config.kv_heads == 1,
        _PARALLEL: is_parallel,
        **norms,
        "num_kv_heads": config.kv_heads if is_new else config.n_head,
        "bias": config.has_qkv_bias or config.has_proj_bias or config.has_mlp_bias,
        "max_position_embeddings": config.block_size,
        "ffn_hidden_size": config.mlp_width,
        "activation": describe_activation(config.mlp_type, PLAIN),
        **describe_rope(config),
        "tie_word_embeddings": config.tie_weights,
    }


FALCON = Family(
    model_type="falcon",
    classes=("FalconForCausalLM", "FalconModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    aliases={"n_embed": "hidden_size"},
    roots=("transformer.", "lm_head.", "word_embeddings.", "h.", "ln_f."),
    prefix="transformer.",
    embedding="word_embeddings.weight",
    buffers=_BUFFERS,
    layouts=LAYOUTS,
    ported=frozenset({"configuration_falcon", "modeling_falcon"}),
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
