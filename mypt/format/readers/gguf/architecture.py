"""A kind of model in GGUF files, expressed in mypt's config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from mypt.format.readers.gguf.model_keys import (
    CONTEXT,
    HEADS,
    HIDDEN,
    KEY_SIZE,
    KV_HEADS,
    LAYER_EPS,
    LAYERS,
    RMS_EPS,
    VALUE_SIZE,
    VOCAB,
    WIDTH,
    ModelKeys,
    add_common_keys,
)
from mypt.format.readers.gguf.rope import (
    ROPE_AT,
    ROPE_IGNORED,
    ROPE_KEYS,
    ROPE_SIZE,
    convert_rope,
    describe_rope,
)
from mypt.format.readers.gguf.tensor_names import (
    BIASES,
    EMBEDDING_NAME,
    HEAD_NAME,
    TensorOrder,
    has_bias,
)
from mypt.format.readers.shared.fields import MAX_LAYERS

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.shared.known_keys import KnownKeys

Shapes = Mapping[str, tuple[int, ...]]
Fields = dict[str, Any]


def _no_fields(_: ModelKeys, __: Fields) -> Fields:
    return {}


def _no_keys(_: GPTConfig) -> Fields:
    return {}


@frozen(kw_only=True)
class Architecture:
    """A kind of model, as llama.cpp knows it.

    Attributes:
        name: Its name in `general.architecture`.
        fields: Fields of mypt's config that all such models share. Those of biases that are not
            among them are read off the tensors.
        order: How it orders its tensors.
        ties: Whether the output layer is the token embedding: `never`, `always`, or where the file
            holds no other.
        read: Keys that it has beside those that all have.
        ignored: Keys that change nothing that it computes.
        ignored_at: Keys that change nothing at these values.
        convert_own: Returns what its own keys mean, from these and the fields found so far.
        describe_own: Returns its own keys, from a config.
        find_block: Returns its `block_type` by the names of the tensors, where that differs.
        turns_heads: Whether all of a head is rotated, as llama.cpp demands of some.
        takes_factors: Whether it may have divisors of its rotary frequencies.
        reason: Why it is not written: what llama.cpp computes otherwise than its program.
    """

    name: str
    fields: Mapping[str, Any]
    order: TensorOrder = field(factory=TensorOrder)
    ties: Literal["never", "always", "unless_stored"] = "unless_stored"
    read: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    ignored_at: Mapping[str, tuple[Any, ...]] = field(factory=dict)
    convert_own: Callable[[ModelKeys, Fields], Fields] = _no_fields
    describe_own: Callable[[GPTConfig], Fields] = _no_keys
    find_block: Callable[[Shapes], str] | None = None
    turns_heads: bool = False
    takes_factors: bool = False
    reason: str = ""

    @property
    def rotates(self) -> bool:
        """Whether it has rotary positions."""
        return bool(self.fields["pos_encoding"] == "rope")

    @property
    def eps_key(self) -> str:
        """The key of the epsilon of its norms."""
        return RMS_EPS if self.fields["norm_type"] == "rmsnorm" else LAYER_EPS

    @property
    def keys(self) -> KnownKeys:
        """The keys that it knows."""
        rope = ROPE_KEYS if self.rotates else frozenset()
        ignored = ROPE_IGNORED if self.rotates else ROPE_KEYS  # those of rope mean nothing then
        read = {*rope, self.eps_key, *self.read}
        return add_common_keys(
            read,
            (ignored | {*self.ignored}) - {*self.read, *self.ignored_at},
            {**(ROPE_AT if self.rotates else {}), **self.ignored_at},
        )

    def convert_config(self, keys: ModelKeys, shapes: Shapes) -> Fields:
        """Return the fields of mypt's config.

        Args:
            keys: The keys of the model, checked.
            shapes: Shapes of the tensors by name: what the keys do not say is read off them.

        Raises:
            FormatError: A field is not what it must be, or mypt's config cannot express it.
        """
        width, heads = keys.whole(WIDTH), keys.whole(HEADS)
        groups = keys.whole(KV_HEADS, heads)
        size = keys.whole(KEY_SIZE, max(1, width // heads))
        if keys.whole(VALUE_SIZE, size) != size:
            raise keys.unsupported(VALUE_SIZE, f"is not the {size} of {keys.name(KEY_SIZE)}")
        rows = shapes.get(EMBEDDING_NAME, (0,))[0]
        if keys.whole(VOCAB, rows or 1) != (rows or 1):
            raise keys.unsupported(VOCAB, f"is not the {rows} rows of {EMBEDDING_NAME}")
        found: Fields = {
            "block_size": keys.whole(CONTEXT),
            "vocab_size": rows or 1,
            "n_embd": width,
            "n_layer": keys.whole(LAYERS, most=MAX_LAYERS),
            "n_head": heads,
            "n_kv_head": None if groups == heads else groups,
            "head_size": None if size * heads == width else size,
            "mlp_hidden": keys.whole(HIDDEN),
            "norm_eps": keys.real(self.eps_key),
            "dropout": 0.0,
            "head_bias": False,
            **{name: has_bias(shapes, places) for name, places in BIASES.items()},
            **self.fields,
            **(convert_rope(keys, size) if self.rotates else {}),
        }
        if self.turns_heads and found["rope_size"] is not None:
            what = f"is {found['rope_size']}, not the whole {size} values of a head"
            raise keys.unsupported(ROPE_SIZE, what)
        if self.find_block is not None:
            found["block_type"] = self.find_block(shapes)
        stored = HEAD_NAME in shapes
        found["tie_weights"] = {"never": False, "always": True}.get(self.ties, not stored)
        return {**found, **self.convert_own(keys, found)}

    def describe(self, config: GPTConfig) -> Fields:
        """Return the keys of a config, as far as they can say it."""
        own = {
            CONTEXT: config.block_size,
            WIDTH: config.n_embd,
            LAYERS: config.n_layer,
            HIDDEN: config.mlp_width,
            HEADS: config.n_head,
            KV_HEADS: config.kv_heads,
            VOCAB: config.vocab_size,
            self.eps_key: float(config.norm_epsilon),
        }
        if config.attention_width != config.n_embd and not self.order.fuses_qkv:
            own |= {KEY_SIZE: config.head_width, VALUE_SIZE: config.head_width}
        own |= describe_rope(config) if self.rotates else {}
        return {**own, **self.describe_own(config)}
