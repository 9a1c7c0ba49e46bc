"""The architecture of a model."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import field, frozen

from mypt.format.calls.signatures import checks_calls
from mypt.format.documents.construction import settle_fields
from mypt.format.documents.tokenizer import GPT2_PADDED_VOCAB_SIZE

# A field that is None follows a rule: the property of `GPTConfig` that applies it.
DERIVED = {
    "head_size": "head_width",
    "mlp_hidden": "mlp_width",
    "attn_scale": "attention_scale",
    "norm_eps": "norm_epsilon",
    "qkv_bias": "has_qkv_bias",
    "proj_bias": "has_proj_bias",
    "mlp_bias": "has_mlp_bias",
    "norm_bias": "has_norm_bias",
    "head_bias": "has_head_bias",
}


@checks_calls
@frozen(kw_only=True)
class GPTConfig:
    """The architecture of a model: `config.json`.

    Every field is described in `schemas/v2/config.schema.json`. A field that is None follows the
    rule in its property of `DERIVED` (`attn_scale` in `attention_scale`, and so on).

    Attributes:
        SETTINGS: Fields of how it is trained; its output does not depend on them.
        extra: Fields unknown to this version; written back as they were read.
        absent: Those of `SETTINGS` that its document leaves out; what it leaves out of the others
            has a meaning.
    """

    SETTINGS: ClassVar[frozenset[str]] = frozenset({"batch_size", "dropout", "device"})

    batch_size: int = 32
    block_size: int = 256
    vocab_size: int = GPT2_PADDED_VOCAB_SIZE
    n_embd: int = 384
    n_head: int = 6
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
    rope_theta: float = 10000.0
    rope_scale: float = 1.0
    head_size: int | None = None
    mlp_hidden: int | None = None
    attn_scale: float | None = None
    norm_eps: float | None = None
    qkv_bias: bool | None = None
    proj_bias: bool | None = None
    mlp_bias: bool | None = None
    norm_bias: bool | None = None
    head_bias: bool | None = None
    plugins: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)
    absent: frozenset[str] = field(factory=frozenset, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check the fields by the schema.

        Raises:
            ConfigError: One is of the wrong type or out of range.
        """
        settle_fields(self, "config")

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head if self.head_size is None else self.head_size

    @property
    def attention_width(self) -> int:
        """Width of all heads together: n_embd, unless head_size is set."""
        return self.n_head * self.head_width

    @property
    def attention_scale(self) -> float:
        """Factor on the attention scores."""
        return self.head_width**-0.5 if self.attn_scale is None else self.attn_scale

    @property
    def mlp_width(self) -> int:
        """Width inside the feed-forward part."""
        if self.mlp_hidden is not None:
            return self.mlp_hidden
        if self.mlp_type == "swiglu":
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
        return self.mlp_type != "swiglu" if self.mlp_bias is None else self.mlp_bias

    @property
    def has_norm_bias(self) -> bool:
        """Whether the norms have biases."""
        return self.norm_type != "rmsnorm" if self.norm_bias is None else self.norm_bias

    @property
    def has_head_bias(self) -> bool:
        """Whether the output layer has a bias."""
        return True if self.head_bias is None else self.head_bias
