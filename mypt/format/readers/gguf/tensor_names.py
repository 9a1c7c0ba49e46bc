"""The names of tensors in GGUF, and the order of their rows.

Source: `gguf-py/gguf/constants.py` and `convert_hf_to_gguf.py` of the llama.cpp repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mypt.format.readers.row_orders import split_pairs
from mypt.format.readers.shared.tensor_source import RowOrder, TensorSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypt.format.documents.config import GPTConfig

    Lookup = Callable[[str], TensorSource]

EMBEDDING_NAME, HEAD_NAME = "token_embd.weight", "output.weight"
_OUTSIDE = {
    "token_embedding_table": "token_embd",
    "token_embedding_table.norm": "token_embd_norm",
    "position_embedding_table": "position_embd",
    "ln_f": "output_norm",
    "lm_head": "output",
}
_INSIDE = {
    "sa.q_norm": "attn_q_norm",
    "sa.k_norm": "attn_k_norm",
    "sa.proj": "attn_output",
    "fwd.w_gate": "ffn_gate",
    "fwd.w_up": "ffn_up",
    "fwd.w_down": "ffn_down",
    "fwd.net.0": "ffn_up",
    "fwd.net.2": "ffn_down",
}
_BEFORE = {"ln1": "attn_norm", "ln2": "ffn_norm"}
_NORMS: Mapping[str, Mapping[str, str]] = {
    "res_post_norm": {"ln1": "post_attention_norm", "ln2": "post_ffw_norm"},
    "sandwich_norm": {
        **_BEFORE,
        "ln1_post": "post_attention_norm",
        "ln2_post": "post_ffw_norm",
    },
}
_QKV, _FUSED, _APART = "sa.qkv", "attn_qkv", ("attn_q", "attn_k", "attn_v")
_GATES = ("fwd.w_gate", "fwd.w_up")
# Where mypt's biases are, by the field of the config that says whether they are there.
BIASES = {
    "qkv_bias": (_FUSED, *_APART),
    "proj_bias": ("attn_output",),
    "mlp_bias": ("ffn_up", "ffn_down", "ffn_gate"),
}


@frozen
class TensorOrder:
    """How an architecture orders what mypt orders otherwise.

    Attributes:
        pairs_rows: Whether rope rotates neighbouring rows of a head, in place of its halves.
        fuses_qkv: Whether queries, keys and values are one tensor.
        fuses_gate: Whether the two matrices of a gated feed-forward part are one tensor.
        norms: Names of the norms of a block, where they are other ones, by the `block_type`.
    """

    pairs_rows: bool = False
    fuses_qkv: bool = False
    fuses_gate: bool = False
    norms: Mapping[str, Mapping[str, str]] = field(factory=dict)


def make_lookup(config: GPTConfig, order: TensorOrder) -> Lookup:
    """Return the function from mypt's name of a tensor to its source in a file."""
    norms = {**_NORMS, **order.norms}.get(config.block_type, _BEFORE)
    places = {**_INSIDE, **norms}
    rows = split_pairs(config) if order.pairs_rows and config.pos_encoding == "rope" else None
    shares = (config.n_head, config.kv_heads, config.kv_heads)

    def find_source(name: str) -> TensorSource:
        module, _, kind = name.rpartition(".")
        if not module.startswith("blocks."):
            return TensorSource((f"{_OUTSIDE[module]}.{kind}",))
        _, layer, inside = module.split(".", 2)
        start = f"blk.{layer}."
        if inside == _QKV:
            if order.fuses_qkv:
                return TensorSource((f"{start}{_FUSED}.{kind}",), rows=rows)
            names = tuple(f"{start}{part}.{kind}" for part in _APART)
            return TensorSource(names, shares=shares, rows=rows)
        if inside in _GATES and order.fuses_gate:
            half = _GATES.index(inside) * config.mlp_width
            taken = RowOrder(2 * config.mlp_width, (slice(half, half + config.mlp_width),))
            return TensorSource((f"{start}ffn_up.{kind}",), rows=taken)
        return TensorSource((f"{start}{places[inside]}.{kind}",))

    return find_source


def has_fused_qkv(names: Iterable[str]) -> bool:
    """Return whether the queries, keys and values of a file are one tensor."""
    return any(f".{_FUSED}." in name for name in names)


def has_bias(names: Iterable[str], places: Iterable[str]) -> bool:
    """Return whether any layer has a bias at one of these places."""
    ends = tuple(f".{place}.bias" for place in places)
    return any(name.startswith("blk.") and name.endswith(ends) for name in names)
