"""OPT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.layout import POSITIONS
from mypt.format.readers.hugging_face.families.activations import (
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.fields import note_dropouts, take_sizes
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_positive_int,
)
from mypt.format.readers.shared.tensor_source import RowOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

_PLACES = Places(
    outside={
        "token_embedding_table": "decoder.embed_tokens",
        "position_embedding_table": "decoder.embed_positions",
        "ln_f": "decoder.final_layer_norm",
    },
    layers="decoder.layers",
    inside={
        "ln1": ("self_attn_layer_norm",),
        "sa.qkv": tuple(f"self_attn.{part}_proj" for part in "qkv"),
        "sa.proj": ("self_attn.out_proj",),
        "ln2": ("final_layer_norm",),
        "fwd.net.0": ("fc1",),
        "fwd.net.2": ("fc2",),
    },
)
_SKIPPED_POSITIONS = 2
_DROPOUTS = ("dropout", "attention_dropout")
_NORMS = "layer_norm_elementwise_affine"
_NO_FINAL = "_remove_final_layer_norm"
# OPTConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 50272,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "ffn_dim": 3072,
    "max_position_embeddings": 2048,
    "do_layer_norm_before": True,
    _NO_FINAL: False,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "num_attention_heads": 12,
    "activation_function": "relu",
    "enable_bias": True,
    _NORMS: True,
    "tie_word_embeddings": True,
}
_KEYS = add_common_keys(
    {*_DEFAULTS, "word_embed_proj_dim"},
    ignored=("init_std", "layerdrop", "activation_dropout"),  # of training
    # what the class does, whatever they say
    learned_embeddings=(True,),
    scale_embeddings=(False,),
)


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    width = require_positive_int(hf_config, "hidden_size", file)
    projected = require_positive_int(hf_config, "word_embed_proj_dim", file, width)
    if projected != width:
        what = f"is {projected}, but hidden_size {width}: mypt's embedding has no projection"
        raise make_unsupported_error(
            file, "/word_embed_proj_dim", what, "install a plugin that reads it"
        )
    is_before = require_bool(hf_config, "do_layer_norm_before", file)
    has_bias = require_bool(hf_config, "enable_bias", file)
    return {
        **take_sizes(
            hf_config,
            file,
            block_size="max_position_embeddings",
            n_embd="hidden_size",
            n_head="num_attention_heads",
            n_layer="num_hidden_layers",
            mlp_hidden="ffn_dim",
        ),
        "dropout": hf_config["dropout"] or 0.0,
        "bias": has_bias,
        "mlp_bias": has_bias,
        "head_bias": False,
        "mlp_type": convert_activation(hf_config, "activation_function", file, PLAIN),
        "norm_weight": require_bool(hf_config, _NORMS, file),
        "block_type": "pre_norm" if is_before else "post_norm",
        "final_norm": is_before and not require_bool(hf_config, _NO_FINAL, file),
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    end = config.block_size + _SKIPPED_POSITIONS
    positions = RowOrder(end, (slice(_SKIPPED_POSITIONS, end),))
    return _PLACES.make_lookup(config, prefix, {POSITIONS.rpartition(".")[0]: positions})


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.n_embd,
        "num_hidden_layers": config.n_layer,
        "ffn_dim": config.mlp_width,
        "max_position_embeddings": config.block_size,
        "do_layer_norm_before": config.block_type != "post_norm",
        _NO_FINAL: not config.has_final_norm,
        "word_embed_proj_dim": config.n_embd,
        "dropout": config.dropout,
        "attention_dropout": config.dropout,
        "num_attention_heads": config.n_head,
        "activation_function": describe_activation(config.mlp_type, PLAIN),
        "enable_bias": config.has_qkv_bias or config.has_proj_bias or config.has_mlp_bias,
        _NORMS: config.has_norm_weight,
        "tie_word_embeddings": config.tie_weights,
    }


OPT = Family(
    model_type="opt",
    classes=("OPTForCausalLM", "OPTModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    roots=("model.", "decoder.", "lm_head."),
    prefix="model.",
    embedding="decoder.embed_tokens.weight",
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
