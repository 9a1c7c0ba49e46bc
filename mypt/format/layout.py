"""The tensors of `model.pt` as a function of the config: names and shapes.

The names are MyPT's. Each architecture part lists its own tensors by names relative to its
place in the model; a plugin's part comes with a function of the same form.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.adapters.places import adapter_tensors
from mypt.format.documents.config import GATED

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig

Shape = tuple[int, ...]
Tensors = dict[str, Shape]

EMBEDDING, HEAD = "token_embedding_table.weight", "lm_head.weight"
HEAD_BIAS = "lm_head.bias"
POSITIONS = "position_embedding_table.weight"
# The slots that the blocks are made of; a stack with layers of its own does not look at them.
BLOCK_SLOTS = ("attention_type", "mlp_type", "block_type")
SLOTS = (
    *("pos_encoding", "attention_type", "mlp_type", "norm_type", "block_type"),
    *("embedding_type", "head_type", "stack_type"),
)
# The norms of a block that does not say otherwise, in the order of their tensors.
TWO_NORMS = ("ln1", "ln2")
# What mypt offers the functions of a part besides the config; each gets what it names.
_ASKABLE = frozenset({"layer", "norm", "block", "make_norm", "make_block"})


@cache
def find_asked(function: Callable[..., Any]) -> frozenset[str]:
    """Return which of the arguments that mypt offers a part's function names.

    Args:
        function: `tensors`, to which mypt offers `layer`, `norm` and `block`; or `build`, with
            `layer`, `make_norm` and `make_block`.
    """
    try:
        return _ASKABLE & inspect.signature(function).parameters.keys()
    except ValueError:  # written in C, without a signature
        return frozenset()


def call_with_asked(function: Callable[..., Any], config: GPTConfig, **offered: Any) -> Any:
    """Call a function of a part with the config and those of the offered arguments it names."""
    asked = find_asked(function)
    return function(config, **{name: offered[name] for name in asked if name in offered})


@frozen
class PartLayout:
    """What the format knows of a part.

    Attributes:
        tensors: From a config, the names, relative to the part, and the shapes of its tensors, in
            order; see `mypt.plugins.PartFactory`.
        norms: Of a `block_type`, the places of its norms, in the order of their tensors.
    """

    tensors: Callable[..., Tensors]
    norms: tuple[str, ...] = TWO_NORMS

    @property
    def asks_layer(self) -> bool:
        """Whether its tensors may depend on the layer that it is in."""
        return "layer" in find_asked(self.tensors)

    @property
    def has_blocks(self) -> bool:
        """Of a `stack_type`: whether its layers are made of the blocks of the config."""
        return "block" in find_asked(self.tensors)

    @property
    def has_own(self) -> bool:
        """Of a `stack_type`: whether it lists tensors of its own, besides those of its layers."""
        return self.asks_layer or not self.has_blocks

    def __call__(
        self,
        config: GPTConfig,
        *,
        layer: int | None = None,
        norm: Tensors | None = None,
        block: Tensors | None = None,
    ) -> Tensors:
        """Return its tensors; of a stack, those of one layer, or its own.

        Args:
            config: The architecture.
            layer: The layer that it is in; None outside of layers.
            norm: Tensors of a norm of the config, in that layer.
            block: Of a stack, the tensors of a block of the config in that layer.
        """
        offered = {"layer": layer, "norm": norm or {}, "block": block or {}}
        tensors: Tensors = call_with_asked(self.tensors, config, **offered)
        return tensors


# Slot and name of each known part. Slots are config fields such as `mlp_type`.
Layouts = Mapping[tuple[str, str], PartLayout]


@frozen
class ModelLayout:
    """The tensors of a model.

    Attributes:
        before: Shapes by name, in order, of the tensors before those of the layers.
        prefix: What the names of all layers begin with; the number of the layer follows.
        layer: Returns the shapes of the tensors of one layer, in order, by names relative to it.
        is_uniform: Whether those are the same for all layers.
        after: Shapes by name, in order, of the tensors after those of the layers.
    """

    before: Tensors
    prefix: str
    layer: Callable[[int], Tensors]
    is_uniform: bool
    after: Tensors

    @property
    def outside(self) -> Tensors:
        """Shapes by name of the tensors outside of layers, in order."""
        return self.before | self.after

    def with_layers(self, layers: Iterable[int]) -> Tensors:
        """Return the shapes by name, in order, of the tensors outside of layers and of some."""
        tensors = dict(self.before)
        for layer in layers:
            tensors |= _place(f"{self.prefix}{layer}", self.layer(layer))
        return tensors | self.after


def lay_out(config: GPTConfig, layouts: Layouts) -> ModelLayout:
    """Return the tensors of a model, those of its layers on demand.

    Args:
        config: A config that passed `architecture_problems`.
        layouts: The known parts: `BUILT_IN` and those of plugins.

    Returns:
        Of an adapter, its own tensors alone: none outside of layers.

    Raises:
        KeyError: A part of the config is not among `layouts`.
    """
    adapter = config.adapter
    if adapter is not None:
        base = lay_out(config.without_adapter(), layouts)
        return ModelLayout(
            before={},
            prefix=base.prefix,
            layer=lambda layer: adapter_tensors(base.layer(layer), config, adapter),
            is_uniform=base.is_uniform,
            after={},
        )
    chosen = {slot: layouts[slot, getattr(config, slot)] for slot in used_slots(config, layouts)}
    norm = chosen["norm_type"](config)
    stack = chosen["stack_type"]

    def list_layer(layer: int) -> Tensors:
        if not (stack.has_blocks or stack.asks_layer):
            return {}
        norm_here = chosen["norm_type"](config, layer=layer)
        block = _block_tensors(config, chosen, layer, norm_here) if stack.has_blocks else {}
        return stack(config, layer=layer, norm=norm_here, block=block)

    before = {
        **_place("token_embedding_table", chosen["embedding_type"](config, norm=norm)),
        **_place("position_embedding_table", chosen["pos_encoding"](config, norm=norm)),
        **(_place("blocks", stack(config, norm=norm)) if stack.has_own else {}),
    }
    after = {
        **(_place("ln_f", norm) if config.has_final_norm else {}),
        **_place("lm_head", chosen["head_type"](config, norm=norm)),
    }
    in_layers = ("stack_type", "norm_type", *BLOCK_SLOTS)
    is_uniform = not any(chosen[slot].asks_layer for slot in in_layers if slot in chosen)
    prefix = "blocks." if config.stack_type == "sequential" else "blocks.layers."
    if is_uniform:
        template = list_layer(0)
        return ModelLayout(before, prefix, lambda _: template, is_uniform, after)
    return ModelLayout(before, prefix, list_layer, is_uniform, after)


def used_slots(config: GPTConfig, layouts: Layouts) -> Iterator[str]:
    """Yield the slots whose parts a model has: not those of blocks if its stack has none."""
    stack = layouts.get(("stack_type", config.stack_type))
    for slot in SLOTS:
        if slot not in BLOCK_SLOTS or stack is None or stack.has_blocks:
            yield slot


def are_parts_known(config: GPTConfig, layouts: Layouts) -> bool:
    """Return whether all parts of a model are among the known ones."""
    return all((slot, getattr(config, slot)) in layouts for slot in used_slots(config, layouts))


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
    return lay_out(config, layouts).with_layers(range(config.n_layer))


def _block_tensors(
    config: GPTConfig, chosen: Mapping[str, PartLayout], layer: int, norm: Tensors
) -> Tensors:
    """Return the tensors of one block of the config, by names relative to it."""
    block = chosen["block_type"]
    return {
        **block(config, layer=layer, norm=norm),
        **_place("sa", chosen["attention_type"](config, layer=layer, norm=norm)),
        **_place("fwd", chosen["mlp_type"](config, layer=layer, norm=norm)),
        **{f"{place}.{name}": shape for place in block.norms for name, shape in norm.items()},
    }


def _place(place: str, tensors: Tensors) -> Tensors:
    return {f"{place}.{name}": shape for name, shape in tensors.items()}


def count_parameters(tensors: Mapping[str, Shape], *, tied: bool) -> int:
    """Return the number of trainable values; a tied matrix counts once."""
    return sum(map(math.prod, trainable_shapes(tensors, tied=tied).values()))


def trainable_shapes(tensors: Mapping[str, Shape], *, tied: bool) -> dict[str, Shape]:
    """Return the shapes of a model's parameters: of its tensors, without a tied head."""
    return {name: shape for name, shape in tensors.items() if not (tied and name == HEAD)}


def no_tensors(_: GPTConfig) -> Tensors:
    """Return no tensors, for a part without any of its own."""
    return {}


def token_embedding(config: GPTConfig, norm: Tensors) -> Tensors:
    """Return the tensors of the embedding of tokens, and of its norm."""
    tensors: Tensors = {"weight": (config.vocab_size, config.n_embd)}
    return tensors | _place("norm", norm) if config.embedding_norm else tensors


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


def sequential(_: GPTConfig, block: Tensors) -> Tensors:
    """Return the tensors of one layer, which is a block."""
    return block


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
    ("embedding_type", "token"): PartLayout(token_embedding),
    ("head_type", "linear"): PartLayout(linear_head),
    ("stack_type", "sequential"): PartLayout(sequential),
}


def count_model_parameters(config: GPTConfig, layouts: Layouts) -> int:
    """Return the number of a model's parameters; a tied matrix counts once."""
    return count_parameters(expected_tensors(config, layouts), tied=config.tie_weights)
