"""What the module of each architecture slot must do.

A part needs no base class: any `nn.Module` whose `forward` matches the protocol of its slot works.
Modules are built from the config and, for those that ask, the layer that they are in; see
`PartFactory`. Parts must be causal: the output at a position depends only
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
without that dimension: x is (B, n_embd), and so is the result; ids are (B,) int64, logits (B,
vocab_size). Attention and blocks also take the context and the layer's cache, and a stack what its
`forward` takes; a cache is never None. For a position encoding the function takes the position of
the token, an int that is the same for all rows, and returns its `Placement`. The function is used
for one generation, during which weights do not change. Without this method, `forward` is called.

For 8-bit weights mypt replaces each `nn.Linear` in a part. A part that holds the matrix of a linear
layer itself may have a method

    def quantize(self, make: Callable[[nn.Linear], nn.Module]) -> nn.Module

which returns a module for inference that does the same with the module that `make` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from mypt.plugins.contracts.training import TokenLoss


class Placement(NamedTuple):
    """How positions enter one forward pass; fields that an encoding does not use are None.

    Attributes:
        embedding: Added to the token embeddings, (T, n_embd). Of a text that shares its row with
            others it is taken from the beginning on. The other fields should depend on distances
            alone: for such a text they stay those of its place in the row.
        rotate: Rotates queries or keys (B, any number of heads, T, head_width) by their positions,
            preserving shape and dtype.
        bias: Added to the scaled and capped attention scores, broadcastable to
            (B, n_head, T, K) for T queries and K keys, floating; the future need not be masked.
        rotate_sliding: What layers with a window use instead of `rotate`; None for the same.
    """

    embedding: Tensor | None = None
    rotate: Callable[[Tensor], Tensor] | None = None
    bias: Tensor | None = None
    rotate_sliding: Callable[[Tensor], Tensor] | None = None


class Context(NamedTuple):
    """The values that all layers of a kind share in one forward pass.

    The keys of a layer with a window begin at position max(0, start - window + 1): its cache holds
    no others. Those of other layers begin at position 0.

    Attributes:
        start: Number of positions before this pass, which are in the cache.
        rotate: See `Placement`; None in a layer without rotation.
        mask: For `scaled_dot_product_attention`: boolean (True attends) or additive. None means
            plain causality: a single query attends to everything; otherwise there are as many keys
            as queries, and query t attends to keys 0 ... t.
        window: Number of positions that a query attends to at most, itself included; None in a
            layer without window. `mask` says so already: a part may skip the other keys.
    """

    start: int
    rotate: Callable[[Tensor], Tensor] | None
    mask: Tensor | None
    window: int | None = None


class Contexts(Protocol):
    """Makes the contexts of the layers in one forward pass, each kind of layer's once.

    Attributes:
        start: See `Context`.
        documents: The number of the text that each position is in, (B, T) int64, never falling,
            where a row of a training batch holds several that must not see each other; the masks
            say so already, and a stack that mixes positions beside attention must look here. None
            where a row is one text.
    """

    @property
    def start(self) -> int: ...  # noqa: D102

    @property
    def documents(self) -> Tensor | None: ...  # noqa: D102

    def of_layer(self, layer: int) -> Context:
        """Return the context of a layer, with the window and the rotation that the config says."""
        ...

    def of_window(self, window: int | None, *, is_rotated: bool = True) -> Context:
        """Return the context of layers with a window, or with None; for a stack with its own."""
        ...

    def apply(self, layer: Callable[..., Any], *inputs: Any) -> Any:
        """Call a layer with its inputs; where activations are recomputed, keep none of its own."""
        ...


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
            Keys and values of positions 0 ... start + T - 1, or, of a layer with a window, of
            positions max(0, start - window + 1) ... start + T - 1.
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
            positions: Positions of the tokens of this pass, (T,) int64, below block_size. Where
                texts of different lengths are continued together, they are one of each text, in any
                order; what is rotated then is (1, any number of heads, T, head_width).
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
        ln2: Norm. The names of the norms, of any number, are those of `PartFactory.norms`.
    """

    sa: AttentionPart
    fwd: PointwisePart
    ln1: PointwisePart
    ln2: PointwisePart

    def __call__(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts: (B, T, n_embd) to the same shape."""
        ...


class EmbeddingPart(Protocol):
    """Slot `embedding_type`; its place is `token_embedding_table`.

    With `tie_weights` it must have a parameter `weight` (vocab_size, n_embd), which the head then
    uses too. Whatever `PositionPart` adds is added to its output.
    """

    def __call__(self, idx: Tensor) -> Tensor:
        """Return the activations of ids (B, T) int64, (B, T, n_embd), each position by itself."""
        ...


class HeadPart(Protocol):
    """Slot `head_type`; its place is `lm_head`.

    With `tie_weights` it must have a parameter `weight` (vocab_size, n_embd), for which mypt
    substitutes that of the embedding.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of activations (..., n_embd), (..., vocab_size)."""
        ...

    def loss(
        self,
        x: Tensor,
        targets: Tensor,
        loss_mask: Tensor | None,
        token_loss: TokenLoss | None = None,
    ) -> Tensor:
        """Return the training loss, without full logits where the vocabulary is wide.

        In evaluation mode it must be the cross entropy of the logits; in training mode terms may
        be added to it. `mypt.plugins.output_loss` computes most losses. A head that does not name
        `token_loss` trains on the cross entropy alone: runs with another `loss` are refused.

        Args:
            x: Activations, (B, T, n_embd).
            targets: The id after each position, (B, T) int64.
            loss_mask: Weight of each position from 0 to 1, (B, T), any dtype; None for 1.
            token_loss: What `loss` and `loss_options` of the run name, in place of the cross
                entropy; passed by name, and only where it is another.

        Returns:
            Scalar, in nats per token: the mean, or with a mask sum(loss * mask) / sum(mask); NaN,
            with gradients of 0, where no position counts.
        """
        ...


class StackPart(Protocol):
    """Slot `stack_type`: everything between the embedding and the last norm; its place is `blocks`.

    Attributes:
        layers: The modules that are compiled and sharded, each by itself: an `nn.ModuleList` under
            this very name, so that the parameters of layer i are `blocks.layers.{i}.…`, which is
            what `freeze_layers` goes by. They come after all other parameters. It calls each
            layer as a module, through `contexts.apply`.
    """

    @property
    def layers(self) -> Iterable[nn.Module]: ...  # noqa: D102

    def __call__(self, x: Tensor, idx: Tensor, contexts: Contexts, cache: Any) -> Tensor:
        """Apply the layers.

        Args:
            x: What the embedding, with positions, made of the ids, (B, T, n_embd).
            idx: The ids, (B, T) int64.
            contexts: Makes the contexts of layers.
            cache: What `make_cache` returned, to be extended with positions `contexts.start` and
                on; None if this pass holds all positions.

        Returns:
            (B, T, n_embd).
        """
        ...

    def make_cache(self, capacity: int) -> Any:
        """Return a cache in which nothing is stored, for one batch of sequences.

        Passes follow one another; one with `contexts.start` 0 starts over in the same memory.
        Where the cache, or each of a list of caches, has a method `can_resume(start) -> bool`, a
        pass may also begin earlier than the one before it ended, wherever that returns True.
        `mypt.plugins.make_layer_cache` makes the cache of one layer's attention. If what is
        returned is a sequence of such caches and no more, or has them all in an attribute
        `layer_caches`, then texts of different lengths can be continued in one pass: all end at
        `Context.start`, and masks hide what is before the shorter ones. Otherwise, and where a part
        of a plugin turns out to need more than `Placement` and `Context` say, they are continued
        one after the other.

        Args:
            capacity: Number of positions that it must have room for.
        """
        ...
