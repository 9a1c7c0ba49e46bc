"""Hugging Face's Phi-3, expressed in mypt's config: matrices are fused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.families.llama_like.decoder import (
    DEFAULTS,
    LAYER,
    convert_decoder,
    describe_decoder,
    make_decoder_lookup,
    make_family,
)
from mypt.format.readers.hugging_face.families.rope import choose_rope, rotate_evenly
from mypt.format.readers.hugging_face.families.windows import convert_single_window
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.shared.tensor_source import RowOrder, TensorSource

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.hugging_face.families.family import HFConfig, Lookup

_LENGTH = "original_max_position_embeddings"
_LAYER = {**LAYER, "sa.qkv": ("self_attn.qkv_proj",)}
# The halves of the rows of one matrix, the gate first.
_HALVES = {"fwd.w_gate": 0, "fwd.w_up": 1}


def _convert_config(hf_config: HFConfig, file: str) -> dict[str, Any]:
    where, rope = choose_rope(hf_config, file)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":  # longrope, also under other names; its class has no other rule
        what = f"scales positions by the rule `{kind}`; mypt reads Phi-3 without scaling only"
        fix = "install a plugin that has it as its pos_encoding"
        raise make_unsupported_error(file, where, what, fix)
    fields = convert_decoder(hf_config, file, part=1.0)
    return {
        **rotate_evenly(fields, file, "/partial_rotary_factor"),
        **convert_single_window(hf_config, file),
    }


def _make_lookup(config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:
    find_plain = make_decoder_lookup(config, prefix, hf_config, _LAYER)
    width = config.mlp_width

    def find_source(name: str) -> TensorSource:
        _, _, inside = name.rpartition(".fwd.")
        half = _HALVES.get(f"fwd.{inside.rpartition('.')[0]}")
        if half is None:
            return find_plain(name)
        layer = name.split(".", 2)[1]
        rows = RowOrder(2 * width, (slice(half * width, (half + 1) * width),))
        return TensorSource((f"{prefix}layers.{layer}.mlp.gate_up_proj.weight",), rows=rows)

    return find_source


def _describe(config: GPTConfig) -> dict[str, Any]:
    return {
        **describe_decoder(config, is_partial=True),
        _LENGTH: config.block_size,
        "sliding_window": config.sliding_window,
    }


PHI3 = make_family(
    "phi3",
    "Phi3",
    defaults={
        **DEFAULTS,
        "vocab_size": 32064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        _LENGTH: 4096,
        "rms_norm_eps": 1e-5,
        "sliding_window": None,
    },
    keys=("head_dim", "layer_types"),
    # published configs have more keys of the code that comes with them
    ignored=("full_attn_mod", "interpolate_factor"),
    attention_bias=(False,),
    mlp_bias=(False,),
    lm_head_bias=(False,),
    ported=("configuration_phi3", "modeling_phi3"),
    dropouts=("resid_pdrop", "embd_pdrop"),
    convert_config=_convert_config,
    make_lookup=_make_lookup,
    describe=_describe,
)
