"""What the module of each architecture slot must do.

A part needs no base class: any `nn.Module` whose `forward` matches the protocol of its slot works.
Modules are built from a config alone. Parts must be causal: the output at a position depends only
on that position and earlier ones. What they compute must follow from their parameters and the
config, so that a model is the same after saving and opening it. A model to be opened is built under
`torch.device("meta")`: parameters get the saved values, and for a buffer, which is not saved, the
part is built again from the config. `mypt.testing.check_part` reports violations.

mypt initialises new parameters: matrices to small normal values, biases (`...bias`) to zero, other
vectors to one. A part that needs other values has a method
`reset(generator: torch.Generator) -> None`, which is called after that.

Generation calls `forward` for each token. A part that needs less Python when there is only one
position per row may have a method

    def one_token(self, linear: MakeLinear) -> Callable

whose result does what `forward` does in evaluation mode, but for a single position per row and
without that dimension: x is (B, n_embd), and so is the result. Attention and blocks also take the
context and the layer's cache, which is never None. For a position encoding the function takes the
position of the token, an int that is the same for all rows, and returns its `Placement`. The
function is used for one generation, during which weights do not change. Without this method,
`forward` is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


class Placement(NamedTuple):
    """How positions enter one forward pass; fields that an encoding does not use are None.

    Attributes:
        embedding: Added to the token embeddings, (T, n_embd).
        rotate: Rotates queries or keys (B, any number of heads, T, head_width) by their positions,
            preserving shape and dtype.
        bias: Added to the scaled attention scores, broadcastable to (B, n_head, T, K) for T
            queries and K keys, floating; the future need not be masked.
    """

    embedding: Tensor | None = None
    rotate: Callable[[Tensor], Tensor] | None = None
    bias: Tensor | None = None


class Context(NamedTuple):
    """The values that all layers share in one forward pass.

    Attributes:
        start: Number of positions before this pass, which are in the cache.
        rotate: See `Placement`.
        mask: For `scaled_dot_product_attention`: boolean (True attends) or additive. None means
            plain causality: a single query attends to everything; otherwise there are as many keys
            as queries, and query t attends to keys 0 ... t.
    """

    start: int
    rotate: Callable[[Tensor], Tensor] | None
    mask: Tensor | None


class AttentionCache(Protocol):
    """Keys and values of one layer for the tokens seen so far."""

    def extend(self, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Store new keys and values, and return all that are stored.

        Args:
            k: Keys of positions `start` and on, (B, heads, T, width), any floating dtype. The part
                is free to choose heads and width.
            v: Values, as `k`; their width may differ.
            start: `Context.start`.

        Returns:
            Keys and values of positions 0 ... start + T - 1.
        """
        ...


class MakeLinear(Protocol):
    """Makes a function of an `nn.Linear`, with its weights laid out for one position per row."""

    def __call__(self, layer: nn.Module, /) -> Callable[[Tensor], Tensor]:
        """Return a function from (B, in_features) to (B, out_features).

        Its result may be column-major in memory, so `reshape` it rather than `view`.
        """
        ...


class PositionPart(Protocol):
    """Slot `pos_encoding`; called once per forward pass."""

    def __call__(self, positions: Tensor, key_positions: Tensor) -> Placement:
        """Return how positions enter the forward pass.

        Args:
            positions: Positions of the tokens of this pass, (T,) int64, below block_size.
            key_positions: Positions of the tokens that they may attend to, (K,) int64.
        """
        ...


class AttentionPart(Protocol):
    """Slot `attention_type`."""

    def __call__(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Mix each position of `x` (B, T, n_embd) with itself and earlier positions.

        Args:
            x: Normalised activations.
            context: The context of the forward pass.
            cache: Keys and values of this layer, to be extended with those of `x`; None if this
                pass holds all positions.
        """
        ...


class PointwisePart(Protocol):
    """Slots `mlp_type` and `norm_type`."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x` (B, T, n_embd) to the same shape, each position independently."""
        ...


class BlockPart(Protocol):
    """Slot `block_type`.

    It is built without its parts: mypt sets them before the first use, in this order, which is the
    order of the parameters and so of `optimizer.pt`.

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

    def __call__(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts: (B, T, n_embd) to the same shape."""
        ...
