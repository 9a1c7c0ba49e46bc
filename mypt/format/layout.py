"""The tensors of `model.pt` as a function of the config: names and shapes.

The names are MyPT's. Each architecture part lists its own tensors by names relative to its
place in the model; a plugin's part comes with a function of the same form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig

Shape = tuple[int, ...]
Tensors = dict[str, Shape]
TensorsOf = Callable[["GPTConfig"], Tensors]
# (slot, name) -> the tensors of that part; slots are config fields such as `mlp_type`.
Layouts = Mapping[tuple[str, str], TensorsOf]

EMBEDDING, HEAD = "token_embedding_table.weight", "lm_head.weight"
POSITIONS = "position_embedding_table.weight"
SLOTS = ("pos_encoding", "attention_type", "mlp_type", "norm_type", "block_type")


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
    norm = _get_part_tensors(config, layouts, "norm_type")
    inside = {
        "sa": _get_part_tensors(config, layouts, "attention_type"),
        "fwd": _get_part_tensors(config, layouts, "mlp_type"),
        "ln1": norm,
        "ln2": norm,
    }
    block = _get_part_tensors(config, layouts, "block_type") | {
        f"{place}.{name}": shape for place, part in inside.items() for name, shape in part.items()
    }
    tensors: Tensors = {EMBEDDING: (config.vocab_size, config.n_embd)}
    for name, shape in _get_part_tensors(config, layouts, "pos_encoding").items():
        tensors[f"position_embedding_table.{name}"] = shape
    for layer in range(config.n_layer):
        tensors |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    tensors |= {f"ln_f.{name}": shape for name, shape in norm.items()}
    tensors[HEAD] = (config.vocab_size, config.n_embd)
    if config.has_head_bias:
        tensors["lm_head.bias"] = (config.vocab_size,)
    return tensors


def count_parameters(tensors: Mapping[str, Shape], *, tied: bool) -> int:
    """Return the number of trainable values; a tied matrix counts once."""
    return sum(map(math.prod, trainable_shapes(tensors, tied=tied).values()))


def trainable_shapes(tensors: Mapping[str, Shape], *, tied: bool) -> dict[str, Shape]:
    """Return the shapes of a model's parameters: of its tensors, without a tied head."""
    return {name: shape for name, shape in tensors.items() if not (tied and name == HEAD)}


def no_tensors(_: GPTConfig) -> Tensors:
    """Return no tensors, for a part without any of its own."""
    return {}


def learned_positions(config: GPTConfig) -> Tensors:
    """Return the tensors of learned positions."""
    return {"weight": (config.block_size, config.n_embd)}


def causal_attention(config: GPTConfig) -> Tensors:
    """Return the tensors of fused attention; rows of qkv are all queries, keys, then values."""
    width = config.attention_width
    tensors: Tensors = {"qkv.weight": (3 * width, config.n_embd)}
    if config.has_qkv_bias:
        tensors["qkv.bias"] = (3 * width,)
    tensors["proj.weight"] = (config.n_embd, width)
    if config.has_proj_bias:
        tensors["proj.bias"] = (config.n_embd,)
    return tensors


def two_layer_mlp(config: GPTConfig) -> Tensors:
    """Return the tensors of relu, gelu and gelu_tanh; the activation is at index 1 of `net`."""
    tensors: Tensors = {}
    for index, (rows, columns) in {
        0: (config.mlp_width, config.n_embd),
        2: (config.n_embd, config.mlp_width),
    }.items():
        tensors[f"net.{index}.weight"] = (rows, columns)
        if config.has_mlp_bias:
            tensors[f"net.{index}.bias"] = (rows,)
    return tensors


def swiglu(config: GPTConfig) -> Tensors:
    """Return the tensors of the gated feed-forward part."""
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
    tensors: Tensors = {"weight": (config.n_embd,)}
    if config.has_norm_bias:
        tensors["bias"] = (config.n_embd,)
    return tensors


def _get_part_tensors(config: GPTConfig, layouts: Layouts, slot: str) -> Tensors:
    return layouts[slot, getattr(config, slot)](config)


BUILT_IN: Layouts = {
    ("pos_encoding", "learned"): learned_positions,
    ("pos_encoding", "rope"): no_tensors,
    ("attention_type", "causal"): causal_attention,
    ("mlp_type", "relu"): two_layer_mlp,
    ("mlp_type", "gelu"): two_layer_mlp,
    ("mlp_type", "gelu_tanh"): two_layer_mlp,
    ("mlp_type", "swiglu"): swiglu,
    ("norm_type", "layernorm"): norm,
    ("norm_type", "rmsnorm"): norm,
    ("block_type", "pre_norm"): no_tensors,
}


def count_model_parameters(config: GPTConfig, layouts: Layouts) -> int:
    """Return the number of a model's parameters; a tied matrix counts once."""
    return count_parameters(expected_tensors(config, layouts), tied=config.tie_weights)
