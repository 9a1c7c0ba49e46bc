"""The architecture of a model."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attrs import evolve, field, frozen

from mypt.format.calls.signatures import checks_calls
from mypt.format.documents.config_parts.adapter import FEATURE, Adapter, make_adapter
from mypt.format.documents.config_parts.rope_scaling import RopeScaling, make_rope_scaling
from mypt.format.documents.construction import accepted, settle_fields
from mypt.format.documents.tokenizer import GPT2_PADDED_VOCAB_SIZE

# A field that is None follows a rule: the property of `GPTConfig` that applies it.
DERIVED = {
    "n_kv_head": "kv_heads",
    "rope_size": "rotated_width",
    "head_size": "head_width",
    "mlp_hidden": "mlp_width",
    "attn_scale": "attention_scale",
    "norm_eps": "norm_epsilon",
    "norm_weight": "has_norm_weight",
    "final_norm": "has_final_norm",
    "qkv_bias": "has_qkv_bias",
    "proj_bias": "has_proj_bias",
    "mlp_bias": "has_mlp_bias",
    "norm_bias": "has_norm_bias",
    "head_bias": "has_head_bias",
}
# A field that is None says that the model has no such thing.
OPTIONAL = (
    *("rope_theta_sliding", "rope_scaling", "rope_pattern", "sliding_window", "window_pattern"),
    *("attn_soft_cap", "qk_norm", "logit_soft_cap", "adapter"),
)
# Feed-forward parts of three matrices, by the activation of one product that multiplies the other.
# The fields of the biases, each of which may be there or not.
BIAS_FIELDS = ("qkv_bias", "proj_bias", "mlp_bias", "norm_bias", "head_bias")
GATED = ("swiglu", "geglu", "geglu_tanh", "reglu")


@checks_calls
@frozen(kw_only=True)
class GPTConfig:
    """The architecture of a model: `config.json`.

    Every field is described in `schemas/v2/config.schema.json`. A field that is None follows the
    rule in its property of `DERIVED` (`attn_scale` in `attention_scale`, and so on), or is among
    `OPTIONAL`.

    Attributes:
        SETTINGS: Fields of how it is trained; its output does not depend on them.
        OMITTED: What fields mean that a document leaves out, where a new model has another default.
        extra: Fields unknown to this version; written back as they were read.
        absent: Those of `SETTINGS` that its document leaves out; what it leaves out of the others
            has a meaning.
    """

    SETTINGS: ClassVar[frozenset[str]] = frozenset({"batch_size", "dropout", "device"})
    OMITTED: ClassVar[Mapping[str, Any]] = {"head_bias": None}

    batch_size: int = 32
    block_size: int = 256
    vocab_size: int = GPT2_PADDED_VOCAB_SIZE
    n_embd: int = 384
    n_head: int = 6
    n_kv_head: int | None = None
    n_layer: int = 6
    dropout: float = 0.2
    bias: bool = False
    device: str | None = None
    tie_weights: bool = False
    pos_encoding: str = "learned"
    attention_type: str = "causal"
    mlp_type: str = "gelu"
    norm_type: str = "layernorm"
    block_type: str = "pre_norm"
    embedding_type: str = "token"
    head_type: str = "linear"
    stack_type: str = "sequential"
    rope_theta: float = 10000.0
    rope_theta_sliding: float | None = None
    rope_scale: float = 1.0
    rope_scaling: RopeScaling | None = field(default=None, converter=make_rope_scaling)
    rope_size: int | None = None
    rope_pattern: str | None = None
    sliding_window: int | None = None
    window_pattern: str | None = None
    head_size: int | None = None
    mlp_hidden: int | None = None
    attn_scale: float | None = None
    attn_soft_cap: float | None = None
    qk_norm: Literal["head", "width"] | None = None
    norm_eps: float | None = None
    norm_weight: bool | None = None
    norm_offset: float = 0.0
    final_norm: bool | None = None
    embedding_norm: bool = False
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    logit_soft_cap: float | None = None
    qkv_bias: bool | None = None
    proj_bias: bool | None = None
    mlp_bias: bool | None = None
    norm_bias: bool | None = None
    head_bias: bool | None = False
    adapter: Adapter | None = field(default=None, converter=make_adapter)
    plugins: Mapping[str, Any] = field(factory=dict)
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict)
    absent: frozenset[str] = field(factory=frozenset, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check the fields by the schema.

        Raises:
            ConfigError: One is of the wrong type or out of range.
        """
        settle_fields(self, "config")

    def without_adapter(self) -> "GPTConfig":
        """Return the architecture of the whole model that an adapter is for."""
        if self.adapter is None:
            return self
        with accepted():
            kept = tuple(feature for feature in self.requires if feature != FEATURE)
            return evolve(self, adapter=None, requires=kept)

    def with_adapter(self, adapter: Adapter) -> "GPTConfig":
        """Return the config of an adapter for a whole model of this architecture."""
        return evolve(self, adapter=adapter, requires=(*self.requires, FEATURE))

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head if self.head_size is None else self.head_size

    @property
    def attention_width(self) -> int:
        """Width of all heads together: n_embd, unless head_size is set."""
        return self.n_head * self.head_width

    @property
    def kv_heads(self) -> int:
        """Number of heads of keys and values."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head

    @property
    def kv_width(self) -> int:
        """Width of all heads of the keys together, which is that of the values."""
        return self.kv_heads * self.head_width

    @property
    def rotated_width(self) -> int:
        """How many of the first values of a head rope rotates."""
        return self.head_width if self.rope_size is None else self.rope_size

    @property
    def cacheable_length(self) -> int:
        """Number of positions for which keys do not depend on the length of the text.

        Up to here they can be cached; a longer text rotates all its positions by other angles.
        """
        scaling = self.rope_scaling
        if scaling is None or scaling.kind != "dynamic":
            return self.block_size
        return min(self.block_size, scaling.original_block_size)

    @property
    def attention_scale(self) -> float:
        """Factor on the attention scores."""
        return self.head_width**-0.5 if self.attn_scale is None else self.attn_scale

    @property
    def mlp_width(self) -> int:
        """Width inside the feed-forward part."""
        if self.mlp_hidden is not None:
            return self.mlp_hidden
        if self.mlp_type in GATED:
            return (8 * self.n_embd // 3 + 63) // 64 * 64
        return 4 * self.n_embd

    @property
    def norm_epsilon(self) -> float:
        """Epsilon of the norms."""
        if self.norm_eps is not None:
            return self.norm_eps
        return 1e-6 if self.norm_type == "rmsnorm" else 1e-5

    @property
    def has_qkv_bias(self) -> bool:
        """Whether query, key and value have biases."""
        return self.bias if self.qkv_bias is None else self.qkv_bias

    @property
    def has_proj_bias(self) -> bool:
        """Whether the attention output has a bias."""
        return self.bias if self.proj_bias is None else self.proj_bias

    @property
    def has_mlp_bias(self) -> bool:
        """Whether the feed-forward part has biases."""
        return self.mlp_type not in GATED if self.mlp_bias is None else self.mlp_bias

    @property
    def has_norm_weight(self) -> bool:
        """Whether the norms have weights."""
        return True if self.norm_weight is None else self.norm_weight

    @property
    def has_norm_bias(self) -> bool:
        """Whether the norms have biases."""
        if self.norm_bias is not None:
            return self.norm_bias
        return self.has_norm_weight and self.norm_type != "rmsnorm"

    @property
    def has_final_norm(self) -> bool:
        """Whether a norm stands between the last block and the output layer."""
        return self.block_type != "post_norm" if self.final_norm is None else self.final_norm

    @property
    def has_head_bias(self) -> bool:
        """Whether the output layer has a bias."""
        return True if self.head_bias is None else self.head_bias

    def window_at(self, layer: int) -> int | None:
        """Return the number of positions that a layer attends to, or None for all.

        Args:
            layer: Index of the layer, from 0.
        """
        pattern = self.window_pattern
        is_windowed = pattern is None or pattern[layer % len(pattern)] == "S"
        return self.sliding_window if is_windowed else None

    def is_rotated(self, layer: int) -> bool:
        """Return whether a layer rotates queries and keys, where the position encoding does.

        Args:
            layer: Index of the layer, from 0.
        """
        pattern = self.rope_pattern
        return pattern is None or pattern[layer % len(pattern)] == "R"

    def meaning_of(self, name: str) -> Any:
        """Return what a field stands for: its value, or where that is None, what its rule yields.

        Args:
            name: Name of the field.
        """
        return getattr(self, DERIVED.get(name, name))
