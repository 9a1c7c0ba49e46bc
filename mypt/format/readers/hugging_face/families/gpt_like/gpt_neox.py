"""GPT-NeoX and Pythia."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.layout import HEAD
from mypt.format.readers.hugging_face.families.activations import (
    PLAIN,
    convert_activation,
    describe_activation,
)
from mypt.format.readers.hugging_face.families.family import Family
from mypt.format.readers.hugging_face.families.gpt_like.fields import note_dropouts
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.hugging_face.families.rope import (
    ROPE_KEYS,
    convert_rope,
    describe_rope,
    rotate_evenly,
)
from mypt.format.readers.hugging_face.families.sizes import convert_sizes, find_head_width
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
    outside={"token_embedding_table": "embed_in", "ln_f": "final_layer_norm"},
    layers="layers",
    inside={
        "ln1": ("input_layernorm",),
        "sa.qkv": ("attention.query_key_value",),
        "sa.proj": ("attention.dense",),
        "ln2": ("post_attention_layernorm",),
        "fwd.net.0": ("mlp.dense_h_to_4h",),
        "fwd.net.2": ("mlp.dense_4h_to_h",),
    },
    head="embed_out",
)
_BUFFERS = re.compile(
    r"(?:.*\.)?(?:attention\.(?:bias|masked_bias|rotary_emb\.inv_freq)|rotary_emb\.inv_freq)"
)
_DROPOUTS = ("hidden_dropout", "attention_dropout")
# Its own names of what others call `rope_theta` and `partial_rotary_factor`.
_ROTARY = {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}
# GPTNeoXConfig's own, for what a config leaves out.
_DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 50432,
    "hidden_size": 6144,
    "num_hidden_layers": 44,
    "num_attention_heads": 64,
    "intermediate_size": 24576,
    "hidden_act": "gelu",
    **dict.fromkeys(_DROPOUTS, 0.0),
    "max_position_embeddings": 2048,
    "layer_norm_eps": 1e-5,
    "rotary_emb_base": 10000.0,
    "rotary_pct": 0.25,
    "use_parallel_residual": True,
    "attention_bias": True,
    "tie_word_embeddings": False,
}
_BLOCKS = {True: "parallel_two_norms", False: "pre_norm"}
_KEYS = add_common_keys({*_DEFAULTS, *ROPE_KEYS}, ignored=("classifier_dropout",))


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    sizes = convert_sizes(hf_config, file)
    return {
        **sizes,
        "dropout": hf_config["hidden_dropout"] or 0.0,
        "bias": require_bool(hf_config, "attention_bias", file),
        "head_bias": False,
        "mlp_type": convert_activation(hf_config, "hidden_act", file, PLAIN),
        "norm_eps": require_number(hf_config, "layer_norm_eps", file),
        "pos_encoding": "rope",
        "block_type": _BLOCKS[require_bool(hf_config, "use_parallel_residual", file)],
        **_convert_rotary(hf_config, find_head_width(sizes), file),
    }


def _convert_rotary(hf_config: HFConfig, head_width: int, file: str) -> dict[str, Any]:
    theta, part = (require_number(hf_config, name, file) for name in _ROTARY.values())
    own = {name: value for name, value in hf_config.items() if name not in _ROTARY}
    fields = convert_rope(own, file, head_width, theta=theta, part=part)
    _check_unread(hf_config, fields, head_width, file)
    return rotate_evenly(fields, file, "/rotary_pct")


def _check_unread(
    hf_config: HFConfig, fields: Mapping[str, Any], head_width: int, file: str
) -> None:
    """Raise if a key that the class has another name for says something else."""
    part = hf_config.get("partial_rotary_factor")
    size = fields["rope_size"] or head_width
    held = {
        "rope_theta": hf_config.get("rope_theta") in (None, fields["rope_theta"]),
        "partial_rotary_factor": part is None or int(head_width * part) == size,
    }
    for name, own in _ROTARY.items():
        if not held[name]:
            what = f"is {hf_config[name]!r}; the class reads {own}, which says otherwise"
            fix = "remove the one that does not hold"
            raise make_unsupported_error(file, f"/{name}", what, fix)


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:  # noqa: ARG001
    return _PLACES.make_lookup(config, prefix, {"sa.qkv": join_groups(config)})


def _describe(config: GPTConfig) -> dict[str, Any]:
    rope = describe_rope(config, is_partial=True)
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "intermediate_size": config.mlp_width,
        "hidden_act": describe_activation(config.mlp_type, PLAIN),
        "hidden_dropout": config.dropout,
        "attention_dropout": config.dropout,
        "max_position_embeddings": config.block_size,
        "layer_norm_eps": config.norm_epsilon,
        **rope,
        **{own: rope[theirs] for theirs, own in _ROTARY.items()},
        "use_parallel_residual": config.block_type == _BLOCKS[True],
        "attention_bias": config.has_qkv_bias or config.has_proj_bias,
        "tie_word_embeddings": config.tie_weights,
    }


GPT_NEOX = Family(
    model_type="gpt_neox",
    classes=("GPTNeoXForCausalLM", "GPTNeoXModel"),
    defaults=_DEFAULTS,
    keys=_KEYS,
    roots=(
        *("gpt_neox.", "embed_out.", "lm_head."),
        *("embed_in.", "layers.", "final_layer_norm.", "rotary_emb."),
    ),
    prefix="gpt_neox.",
    embedding="embed_in.weight",
    head="embed_out.weight",
    renamed={HEAD: "embed_out.weight"},
    buffers=_BUFFERS,
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    list_notes=note_dropouts(*_DROPOUTS),
    describe=_describe,
)
