"""GPT-J."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.activations import (
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.fields import (
    GPT2_ALIASES,
    GPT2_SIZES,
    SUMMARY,
    note_dropouts,
    take_sizes,
)
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.row_orders import split_pairs
from mypt.format.readers.shared.fields import (
    pick_known_fields,
    require_number,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

_PLACES = Places(
    outside={"token_embedding_table": "wte", "ln_f": "ln_f"},
    layers="h",
    inside={
        "ln1": ("ln_1",),
        "sa.qkv": tuple(f"attn.{part}_proj" for part in "qkv"),
        "sa.proj": ("attn.out_proj",),
        "fwd.net.0": ("mlp.fc_in",),
        "fwd.net.2": ("mlp.fc_out",),
    },
)
_BUFFERS = re.compile(r"(?:.*\.)?h\.\d+\.attn\.(?:bias|masked_bias|embed_positions)")
_DROPOUTS = ("resid_pdrop", "attn_pdrop", "embd_pdrop")
# GPTJConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 50400,
    "n_positions": 2048,
    "n_embd": 4096,
    "n_layer": 28,
    "n_head": 16,
    "rotary_dim": 64,
    "activation_function": "gelu_new",
    **dict.fromkeys(_DROPOUTS, 0.0),
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": False,
}
_KEYS = add_common_keys(
    {*_DEFAULTS, "n_inner"},
    ignored=SUMMARY,
    # what the class does, whatever they say
    rotary=(True,),
    scale_attn_weights=(True,),
)


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    return {
        **take_sizes(hf_config, file, **GPT2_SIZES),
        **pick_known_fields(hf_config, {"n_inner": "mlp_hidden"}),
        "dropout": hf_config["resid_pdrop"] or 0.0,
        "head_bias": True,
        "mlp_type": convert_activation(hf_config, "activation_function", file, PLAIN),
        "norm_eps": require_number(hf_config, "layer_norm_epsilon", file),
        "pos_encoding": "rope",
        "rope_size": require_positive_int(hf_config, "rotary_dim", file),
        "block_type": "parallel",
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    return _PLACES.make_lookup(config, prefix, {"sa.qkv": split_pairs(config)})


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.mlp_width,
        "rotary_dim": config.rotated_width,
        "activation_function": describe_activation(config.mlp_type, PLAIN),
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "embd_pdrop": 0.0,
        "tie_word_embeddings": config.tie_weights,
    }


GPTJ = Family(
    model_type="gptj",
    classes=("GPTJForCausalLM", "GPTJModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    aliases=GPT2_ALIASES,
    roots=("transformer.", "lm_head.", "wte.", "h.", "ln_f."),
    prefix="transformer.",
    embedding="wte.weight",
    buffers=_BUFFERS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
