"""What the module of each architecture slot must do.

A part needs no base class: any `nn.Module` whose `forward` fits the protocol of its slot will do.
Modules are built for a config alone. Parts must be causal: the output at a position depends on that
position and those before it. What they compute follows from their parameters and the config, so
that a model that is saved and opened again is the same; a buffer is not saved, and must come out
right also under `torch.device("meta")`. `mypt.testing.check_part` says what a part does wrong.

Freshly built parameters are set by mypt: matrices to small normal values, biases (`...bias`) to
zero, other vectors to one. A part that wants other values has a method
`reset(generator: torch.Generator) -> None`, called after that.

Generation calls `forward` for each token. A part that can do with less Python where there is but
one position per row may have a method

    def one_token(self, linear: MakeLinear) -> Callable

whose result does what `forward` does in evaluation mode, but for a single position per row and
without that dimension: x is (B, n_embd), and so is what comes back. Attention and blocks take the
context and the layer's cache as well, which is never None. For a position encoding it takes the
position of all rows' token, an int, and gives its `Placement`. What is made is used for one
generation, in which weights do not change. A part without this method is called as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


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


class AttentionCache(Protocol):
    """Keys and values of one layer for the tokens seen so far."""

    def extend(self, k: Tensor, v: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Store what is new and give all there is.

        Args:
            k: Keys of positions `start` and on, (B, heads, T, width), any floating dtype. How many
                heads and what width is the part's own to say.
            v: Values, as `k`; their width may differ.
            start: `Context.start`.

        Returns:
            Keys and values of positions 0 ... start + T - 1.
        """
        ...


class MakeLinear(Protocol):
    """Makes a function of an `nn.Linear`, with its weights laid out for one position per row."""

    def __call__(self, layer: nn.Module, /) -> Callable[[Tensor], Tensor]:
        """Give a function from (B, in_features) to (B, out_features).

        What it gives may lie in memory column by column, so `reshape` it rather than `view`.
        """
        ...


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

    def __call__(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
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

    Built without its parts: mypt sets them before the first use, in this order, which is the order
    of the parameters and so of `optimizer.pt`.

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
        """Join the parts: (B, T, n_embd) to the same shape."""
        ...
