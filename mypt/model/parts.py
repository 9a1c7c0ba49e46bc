"""What the module of each slot must do, and how a block is put together from them.

A plugin's part needs no base class: any `nn.Module` whose `forward` fits the protocol of its slot
will do. Modules are built for a config alone. Parts must be causal: the output at a position
depends on that position and those before it.

Freshly built parameters are set by `mypt.model.initialisation`: matrices to small normal values,
biases (`...bias`) to zero, other vectors to one. A part that wants other values has a method
`reset(generator: torch.Generator) -> None`, called after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from mypt.format.documents import GPTConfig
    from mypt.model.cache import LayerCache
    from mypt.plugins.manager import Plugins


class Placement(NamedTuple):
    """How positions enter one forward pass; None where a kind of encoding does not use it.

    Attributes:
        embedding: Added to the token embeddings, (T, n_embd).
        rotate: Turns queries or keys (B, any number of heads, T, head_width) by their positions,
            keeping shape and dtype.
        bias: Added to the scaled attention scores, broadcastable to (B, n_head, T, K) for T
            queries and K keys, floating; the future need not be masked.
    """

    embedding: Tensor | None = None
    rotate: Callable[[Tensor], Tensor] | None = None
    bias: Tensor | None = None


class Context(NamedTuple):
    """What all layers share in one forward pass.

    Attributes:
        start: Positions before the first one of this pass, which are in the cache.
        rotate: See `Placement`.
        mask: For `scaled_dot_product_attention`: boolean (True looks) or additive. None means
            plain causality: with one query it looks at everything, else there are as many keys
            as queries and query t looks at keys 0 ... t.
    """

    start: int
    rotate: Callable[[Tensor], Tensor] | None
    mask: Tensor | None


class PositionPart(Protocol):
    """Slot `pos_encoding`; called once per forward pass."""

    def __call__(self, positions: Tensor, key_positions: Tensor) -> Placement:
        """Say how positions enter.

        Args:
            positions: Where the tokens of this pass are, (T,) int64, below block_size.
            key_positions: Where those are that they may look at, (K,) int64.
        """
        ...


class AttentionPart(Protocol):
    """Slot `attention_type`."""

    def __call__(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """Mix the positions of `x` (B, T, n_embd), each with itself and those before it.

        Args:
            x: Normalised activations.
            context: What the pass is about.
            cache: Where keys and values of this layer are kept, to be extended with those of
                `x`; None where this pass holds all positions.
        """
        ...


class PointwisePart(Protocol):
    """Slots `mlp_type` and `norm_type`."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x` (B, T, n_embd) to the same shape, each position by itself."""
        ...


class BlockPart(Protocol):
    """Slot `block_type`.

    Built without its parts: `build_block` sets them before the first use, in this order, which
    is the order of the parameters and so of `optimizer.pt`.

    Attributes:
        sa: Attention.
        fwd: Feed-forward part.
        ln1: Norm.
        ln2: Norm.
    """

    sa: AttentionPart
    fwd: PointwisePart
    ln1: PointwisePart
    ln2: PointwisePart

    def __call__(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """Join the parts: (B, T, n_embd) to the same shape."""
        ...


def build_part(slot: str, config: GPTConfig, plugins: Plugins) -> nn.Module:
    """Build the part that `config` chooses for a slot.

    Raises:
        PluginError: No plugin offers it.
    """
    return plugins.part(slot, getattr(config, slot)).build(config)


def build_block(config: GPTConfig, plugins: Plugins) -> nn.Module:
    """Build one block with its parts in place.

    Raises:
        PluginError: No plugin offers one of them.
    """
    block = build_part("block_type", config, plugins)
    block.sa = build_part("attention_type", config, plugins)
    block.fwd = build_part("mlp_type", config, plugins)
    block.ln1 = build_part("norm_type", config, plugins)
    block.ln2 = build_part("norm_type", config, plugins)
    return block
