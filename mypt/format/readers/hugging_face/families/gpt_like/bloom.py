"""Bloom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.alibi import ALIBI, LAYOUTS, PACKAGE
from mypt.format.readers.hugging_face.families.gpt_like.fields import (
    note_dropouts,
    require_false,
    take_sizes,
)
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.row_orders import join_groups
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
    outside={
        "token_embedding_table": "word_embeddings",
        "token_embedding_table.norm": "word_embeddings_layernorm",
        "ln_f": "ln_f",
    },
    layers="h",
    inside={
        "ln1": ("input_layernorm",),
        "sa.qkv": ("self_attention.query_key_value",),
        "sa.proj": ("self_attention.dense",),
        "ln2": ("post_attention_layernorm",),
        "fwd.net.0": ("mlp.dense_h_to_4h",),
        "fwd.net.2": ("mlp.dense_4h_to_h",),
    },
)
_DROPOUTS = ("hidden_dropout", "attention_dropout")
_REFUSED = {
    "apply_residual_connection_post_layernorm": "adds the normed values instead of the residual"
}
_EXACT = "slow_but_exact"
# BloomConfig's own, for what a config leaves out. It has no length, since its positions have no
# end: `seq_length`, which no class reads, is that of the training.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 250880,
    "hidden_size": 64,
    "n_layer": 2,
    "n_head": 8,
    "seq_length": 2048,
    _EXACT: False,
    "pretraining_tp": 1,
    **dict.fromkeys(_DROPOUTS, 0.0),
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}
_ALIASES: Mapping[str, str] = {
    "n_embed": "hidden_size",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
}
_KEYS = add_common_keys(
    {*_DEFAULTS, *_REFUSED},
    # how the training program computed the same
    ignored=(
        "attention_softmax_in_fp32",
        "bias_dropout_fusion",
        "masked_softmax_fusion",
        "offset_alibi",
        "skip_bias_add",
        "skip_bias_add_qkv",
        "unk_token_id",
    ),
    n_inner=(None,),
)


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    require_false(hf_config, _REFUSED, file)
    if require_bool(hf_config, _EXACT, file) and hf_config["pretraining_tp"] != 1:
        what = "is true beside pretraining_tp, for which its class leaves out biases"
        raise make_unsupported_error(
            file, f"/{_EXACT}", what, "set it to false if the model was trained so"
        )
    return {
        **take_sizes(
            hf_config,
            file,
            block_size="seq_length",
            n_embd="hidden_size",
            n_head="n_head",
            n_layer="n_layer",
        ),
        "dropout": hf_config["hidden_dropout"] or 0.0,
        "bias": True,
        "head_bias": False,
        "mlp_type": "gelu_tanh",
        "norm_eps": require_number(hf_config, "layer_norm_epsilon", file),
        "pos_encoding": ALIBI,
        "plugins": {PACKAGE: {}},
        "embedding_norm": True,
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    return _PLACES.make_lookup(config, prefix, {"sa.qkv": join_groups(config)})


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "seq_length": config.block_size,
        "hidden_dropout": config.dropout,
        "attention_dropout": config.dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "tie_word_embeddings": config.tie_weights,
    }


BLOOM = Family(
    model_type="bloom",
    classes=("BloomForCausalLM", "BloomModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    aliases=_ALIASES,
    roots=(
        *("transformer.", "lm_head."),
        *("word_embeddings.", "word_embeddings_layernorm.", "h.", "ln_f."),
    ),
    prefix="transformer.",
    embedding="word_embeddings.weight",
    layouts=LAYOUTS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
