"""Phi 1, 1.5 and 2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.activations import (
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.fields import note_dropouts
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.families.rope import ROPE_KEYS, convert_rope, describe_rope
from mypt.format.readers.hugging_face.families.sizes import (
    convert_sizes,
    describe_sizes,
    find_head_width,
)
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

_PLACES = Places(
    outside={"token_embedding_table": "embed_tokens", "ln_f": "final_layernorm"},
    layers="layers",
    inside={
        "ln1": ("input_layernorm",),
        "sa.qkv": tuple(f"self_attn.{part}_proj" for part in "qkv"),
        "sa.q_norm": ("self_attn.q_layernorm",),
        "sa.k_norm": ("self_attn.k_layernorm",),
        "sa.proj": ("self_attn.dense",),
        "fwd.net.0": ("mlp.fc1",),
        "fwd.net.2": ("mlp.fc2",),
    },
)
_BUFFERS = re.compile(r".*\.rotary_emb\.inv_freq")
_DROPOUTS = ("resid_pdrop", "attention_dropout", "embd_pdrop")
_QK_NORM = "qk_layernorm"
_PART = 0.5  # of each head that is rotated, where a config does not say
# PhiConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 51200,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    **dict.fromkeys(_DROPOUTS, 0.0),
    "hidden_act": "gelu_new",
    "max_position_embeddings": 2048,
    "layer_norm_eps": 1e-5,
    _QK_NORM: False,
    "tie_word_embeddings": False,
}
_KEYS = add_common_keys({*_DEFAULTS, *ROPE_KEYS, "num_key_value_heads", "head_dim"})


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    sizes = convert_sizes(hf_config, file)
    width = find_head_width(sizes)
    rope = convert_rope(hf_config, file, width, part=_PART)
    if (rope["rope_size"] or width) % 2:
        what = f"makes {rope['rope_size']} of {width} values of a head rotate, an odd number"
        raise make_unsupported_error(
            file, "/partial_rotary_factor", what, "install a plugin that reads it"
        )
    is_normed = require_bool(hf_config, _QK_NORM, file)
    if is_normed and sizes["head_size"] is not None:
        what = "is true, but its class normalizes heads of hidden_size / num_attention_heads values"
        raise make_unsupported_error(file, f"/{_QK_NORM}", what, "restore the file")
    return {
        **sizes,
        "dropout": hf_config["resid_pdrop"] or 0.0,
        "bias": True,
        "head_bias": True,
        "mlp_type": convert_activation(hf_config, "hidden_act", file, PLAIN),
        "norm_eps": require_number(hf_config, "layer_norm_eps", file),
        "qk_norm": "head" if is_normed else None,
        "pos_encoding": "rope",
        "block_type": "parallel",
        **rope,
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    return _PLACES.make_lookup(config, prefix)


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        **describe_sizes(config),
        "resid_pdrop": config.dropout,
        "attention_dropout": config.dropout,
        "embd_pdrop": 0.0,
        "hidden_act": describe_activation(config.mlp_type, PLAIN),
        "layer_norm_eps": config.norm_epsilon,
        **describe_rope(config, is_partial=True),
        _QK_NORM: config.qk_norm == "head",
        "tie_word_embeddings": config.tie_weights,
    }


PHI = Family(
    model_type="phi",
    classes=("PhiForCausalLM", "PhiModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    roots=("model.", "lm_head.", "embed_tokens.", "layers.", "final_layernorm."),
    prefix="model.",
    embedding="embed_tokens.weight",
    buffers=_BUFFERS,
    ported=frozenset({"configuration_phi", "modeling_phi"}),
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
