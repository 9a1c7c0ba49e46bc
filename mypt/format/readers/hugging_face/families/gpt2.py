"""Hugging Face's GPT-2, expressed in mypt's config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.layout import HEAD
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.keys import add_common_keys
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    pick_known_fields,
    require_bool,
    require_positive_int,
)
from mypt.format.readers.shared.gpt2_names import MASKS, make_gpt2_lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import Lookup

ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "relu": "relu",
}
_DROPOUTS = ("resid_pdrop", "attn_pdrop", "embd_pdrop")
_REFUSED = {
    "scale_attn_by_inverse_layer_idx": "scales attention by the layer's index",
    "add_cross_attention": "adds attention to another model",
}
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
    "tie_word_embeddings": True,
}
_ALIASES: Mapping[str, str] = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
_KEYS = add_common_keys(
    {*_DEFAULTS, "n_inner", *_REFUSED},
    # the summary belongs to heads for other tasks; early releases wrote the other two, unread
    ignored=(
        "summary_type",
        "summary_use_proj",
        "summary_activation",
        "summary_proj_to_labels",
        "summary_first_dropout",
        "n_ctx",
        "predict_special_tokens",
    ),
    reorder_and_upcast_attn=(False,),
)


def _convert_config(hf_config: Mapping[str, Any], file: str) -> dict[str, Any]:
    activation = str(hf_config["activation_function"])
    if activation not in ACTIVATIONS:
        what = f"is {activation}; mypt has {', '.join(ACTIVATIONS)}"
        raise make_unsupported_error(
            file, "/activation_function", what, "install a plugin that reads it"
        )
    for name, why in _REFUSED.items():
        if hf_config.get(name):
            raise make_unsupported_error(
                file, f"/{name}", f"{why}, which mypt's config cannot express", "install a plugin"
            )
    return {
        "block_size": require_positive_int(hf_config, "n_positions", file),
        "vocab_size": require_positive_int(hf_config, "vocab_size", file),
        "n_embd": require_positive_int(hf_config, "n_embd", file),
        "n_head": require_positive_int(hf_config, "n_head", file),
        "n_layer": require_positive_int(hf_config, "n_layer", file),
        **pick_known_fields(hf_config, {"n_inner": "mlp_hidden"}),
        "dropout": hf_config["resid_pdrop"] or 0.0,
        "bias": True,
        "head_bias": False,
        "mlp_type": ACTIVATIONS[activation],
        "norm_eps": hf_config["layer_norm_epsilon"],
        "attn_scale": None if require_bool(hf_config, "scale_attn_weights", file) else 1.0,
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: Mapping[str, Any]) -> Lookup:  # noqa: ARG001
    return make_gpt2_lookup(prefix, HEAD, transposed=True)


def _list_notes(hf_config: Mapping[str, Any]) -> list[str]:
    if not any(hf_config[name] for name in _DROPOUTS):
        return []
    return ["dropout is `resid_pdrop`, for attention as well; embeddings have no dropout"]


GPT2 = Family(
    model_type="gpt2",
    classes=("GPT2LMHeadModel", "GPT2Model"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    aliases=_ALIASES,
    roots=("transformer.", "lm_head.", "wte.", "wpe.", "h.", "ln_f."),
    prefix="transformer.",
    embedding="wte.weight",
    buffers=MASKS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=_list_notes,
)
