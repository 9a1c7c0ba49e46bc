"""GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.layout import HEAD
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
    require_false,
    take_sizes,
)
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import pick_known_fields, require_bool, require_number
from mypt.format.readers.shared.gpt2_names import MASKS, make_gpt2_lookup
from mypt.format.readers.shared.tensor_source import scale_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup
    from mypt.format.readers.shared.tensor_source import TensorSource

_DROPOUTS = ("resid_pdrop", "attn_pdrop", "embd_pdrop")
_REFUSED = {"add_cross_attention": "adds attention to another model"}
_BY_LAYER = "scale_attn_by_inverse_layer_idx"
# GPT2Config's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": GPT2_VOCAB_SIZE,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "activation_function": "gelu_new",
    **dict.fromkeys(_DROPOUTS, 0.1),
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    _BY_LAYER: False,
    "tie_word_embeddings": True,
}
_KEYS = add_common_keys(
    {*_DEFAULTS, "n_inner", *_REFUSED},
    # Early releases wrote the two after the summary, unread; the last changes how training in
    # 16 bits rounds.
    ignored=(
        *SUMMARY,
        "n_ctx",
        "predict_special_tokens",
        "reorder_and_upcast_attn",
    ),
)


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    require_false(hf_config, _REFUSED, file)
    require_bool(hf_config, _BY_LAYER, file)
    return {
        **take_sizes(hf_config, file, **GPT2_SIZES),
        **pick_known_fields(hf_config, {"n_inner": "mlp_hidden"}),
        "dropout": hf_config["resid_pdrop"] or 0.0,
        "bias": True,
        "head_bias": False,
        "mlp_type": convert_activation(hf_config, "activation_function", file, PLAIN),
        "norm_eps": require_number(hf_config, "layer_norm_epsilon", file),
        "attn_scale": None if require_bool(hf_config, "scale_attn_weights", file) else 1.0,
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:
    find_source = make_gpt2_lookup(prefix, HEAD, transposed=True)
    if not hf_config.get(_BY_LAYER):
        return find_source

    def find_scaled_source(name: str) -> TensorSource:
        source = find_source(name)
        if ".sa.qkv." not in name:
            return source
        layer = int(name.split(".")[1])
        return scale_queries(source, config, 1 / (layer + 1))

    return find_scaled_source


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.block_size,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.mlp_width,
        "activation_function": describe_activation(config.mlp_type, PLAIN),
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "embd_pdrop": 0.0,
        "scale_attn_weights": config.attention_scale != 1.0,
        "tie_word_embeddings": config.tie_weights,
    }


GPT2 = Family(
    model_type="gpt2",
    classes=("GPT2LMHeadModel", "GPT2Model"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    aliases=GPT2_ALIASES,
    roots=("transformer.", "lm_head.", "wte.", "wpe.", "h.", "ln_f."),
    prefix="transformer.",
    embedding="wte.weight",
    buffers=MASKS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
