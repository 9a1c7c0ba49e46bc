"""The tensors of `model.pt` as a function of the config: names and shapes.

The names are MyPT's. Each architecture part lists its own tensors by names relative to its
place in the model; a plugin's part comes with a function of the same form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.documents.config import GATED

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig

Shape = tuple[int, ...]
Tensors = dict[str, Shape]
TensorsOf = Callable[["GPTConfig"], Tensors]

EMBEDDING, HEAD = "token_embedding_table.weight", "lm_head.weight"
POSITIONS = "position_embedding_table.weight"
SLOTS = ("pos_encoding", "attention_type", "mlp_type", "norm_type", "block_type")
# The norms of a block that does not say otherwise, in the order of their tensors.
TWO_NORMS = ("ln1", "ln2")


@frozen
class PartLayout:
    """What a part adds to the tensors of a model.

    Attributes:
        tensors: Its own tensors, by names relative to its place in the model.
        norms: Of a block, the names of its norms in the order of the parameters.
    """

    tensors: TensorsOf
    norms: tuple[str, ...] = TWO_NORMS


# By slot and name; slots are config fields such as `mlp_type`.
Layouts = Mapping[tuple[str, str], PartLayout]


def expected_tensors(config: GPTConfig, layouts: Layouts) -> Tensors:
    """Return the shapes of all tensors of the model by name, in parameter order.

    Args:
        config: A config that passed `architecture_problems`.
        layouts: The known parts: `BUILT_IN` and those of plugins.

    Returns:
        Shapes by name. `lm_head.weight` is included even if it is tied.

    Raises:
        KeyError: A part of the config is not among `layouts`.
    """
    block = _list_block_tensors(config, layouts)
    tensors = _place("token_embedding_table", token_embedding(config))
    tensors |= _place("position_embedding_table", _list_tensors(config, layouts, "pos_encoding"))
    for layer in range(config.n_layer):
        tensors |= _place(f"blocks.{layer}", block)
    if config.has_final_norm:
        tensors |= _place("ln_f", _list_tensors(config, layouts, "norm_type"))
    return tensors | _place("lm_head", linear_head(config))


def count_parameters(tensors: Mapping[str, Shape], *, tied: bool) -> int:
    """Return the number of trainable values; a tied matrix counts once."""
    return sum(map(math.prod, trainable_shapes(tensors, tied=tied).values()))


def trainable_shapes(tensors: Mapping[str, Shape], *, tied: bool) -> dict[str, Shape]:
    """Return the shapes of a model's parameters: of its tensors, without a tied head."""
    return {name: shape for name, shape in tensors.items() if not (tied and name == HEAD)}


def no_tensors(_: GPTConfig) -> Tensors:
    """Return no tensors, for a part without any of its own."""
    return {}


def token_embedding(config: GPTConfig) -> Tensors:
    """Return the tensors of the embedding of tokens, and of its norm."""
    tensors: Tensors = {"weight": (config.vocab_size, config.n_embd)}
    return tensors | _place("norm", norm(config)) if config.embedding_norm else tensors


def linear_head(config: GPTConfig) -> Tensors:
    """Return the tensors of the output layer; its matrix is included even if it is tied."""
    tensors: Tensors = {"weight": (config.vocab_size, config.n_embd)}
    if config.has_head_bias:
        tensors["bias"] = (config.vocab_size,)
    return tensors


def learned_positions(config: GPTConfig) -> Tensors:
    """Return the tensors of learned positions."""
    return {"weight": (config.block_size, config.n_embd)}


def causal_attention(config: GPTConfig) -> Tensors:
    """Return the tensors of fused attention; rows of qkv are all queries, keys, then values."""
    rows = config.attention_width + 2 * config.kv_width
    tensors: Tensors = {"qkv.weight": (rows, config.n_embd)}
    if config.has_qkv_bias:
        tensors["qkv.bias"] = (rows,)
    if config.qk_norm is not None:
        for name, width in (("q_norm", config.attention_width), ("k_norm", config.kv_width)):
            size = config.head_width if config.qk_norm == "head" else width
            tensors |= _place(name, _list_norm_tensors(config, size))
    tensors["proj.weight"] = (config.n_embd, config.attention_width)
    if config.has_proj_bias:
        tensors["proj.bias"] = (config.n_embd,)
    return tensors


def two_layer_mlp(config: GPTConfig) -> Tensors:
    """Return the tensors of two layers; the activation between them is at index 1 of `net`."""
    tensors: Tensors = {}
    for index, (rows, columns) in {
        0: (config.mlp_width, config.n_embd),
        2: (config.n_embd, config.mlp_width),
    }.items():
        tensors[f"net.{index}.weight"] = (rows, columns)
        if config.has_mlp_bias:
            tensors[f"net.{index}.bias"] = (rows,)
    return tensors


def gated_mlp(config: GPTConfig) -> Tensors:
    """Return the tensors of a gated feed-forward part."""
    tensors: Tensors = {}
    for name, (rows, columns) in {
        "w_gate": (config.mlp_width, config.n_embd),
        "w_up": (config.mlp_width, config.n_embd),
        "w_down": (config.n_embd, config.mlp_width),
    }.items():
        tensors[f"{name}.weight"] = (rows, columns)
        if config.has_mlp_bias:
            tensors[f"{name}.bias"] = (rows,)
    return tensors


def norm(config: GPTConfig) -> Tensors:
    """Return the tensors of layernorm and rmsnorm."""
    return _list_norm_tensors(config, config.n_embd)


def _list_norm_tensors(config: GPTConfig, width: int) -> Tensors:
    tensors: Tensors = {"weight": (width,)} if config.has_norm_weight else {}
    return tensors | {"bias": (width,)} if config.has_norm_bias else tensors


def _list_block_tensors(config: GPTConfig, layouts: Layouts) -> Tensors:
    """Return the tensors of one block: its own, and those of the parts in it."""
    block = layouts["block_type", config.block_type]
    tensors = block.tensors(config)
    tensors |= _place("sa", _list_tensors(config, layouts, "attention_type"))
    tensors |= _place("fwd", _list_tensors(config, layouts, "mlp_type"))
    for name in block.norms:
        tensors |= _place(name, _list_tensors(config, layouts, "norm_type"))
    return tensors


def _list_tensors(config: GPTConfig, layouts: Layouts, slot: str) -> Tensors:
    return layouts[slot, getattr(config, slot)].tensors(config)


def _place(where: str, tensors: Mapping[str, Shape]) -> Tensors:
    return {f"{where}.{name}": shape for name, shape in tensors.items()}


TWO_LAYER = ("relu", "relu2", "gelu", "gelu_tanh", "quick_gelu", "silu", "tanh")
BLOCK_NORMS = {
    "pre_norm": TWO_NORMS,
    "post_norm": TWO_NORMS,
    "res_post_norm": TWO_NORMS,
    "sandwich_norm": ("ln1", "ln1_post", "ln2", "ln2_post"),
    "parallel": ("ln1",),
    "parallel_two_norms": TWO_NORMS,
}
BUILT_IN: Layouts = {
    ("pos_encoding", "learned"): PartLayout(learned_positions),
    ("pos_encoding", "rope"): PartLayout(no_tensors),
    ("attention_type", "causal"): PartLayout(causal_attention),
    **{("mlp_type", name): PartLayout(two_layer_mlp) for name in TWO_LAYER},
    **{("mlp_type", name): PartLayout(gated_mlp) for name in GATED},
    ("norm_type", "layernorm"): PartLayout(norm),
    ("norm_type", "rmsnorm"): PartLayout(norm),
    **{("block_type", name): PartLayout(no_tensors, norms) for name, norms in BLOCK_NORMS.items()},
}


def count_model_parameters(config: GPTConfig, layouts: Layouts) -> int:
    """Return the number of a model's parameters; a tied matrix counts once."""
    return count_parameters(expected_tensors(config, layouts), tied=config.tie_weights)
