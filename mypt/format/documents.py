"""The JSON documents of format 2 as frozen classes; the schemas are the source of truth.

A test compares names, types and defaults with `schemas/v2/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs
from attrs import field, frozen

from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from cattrs import Converter

Document = Mapping[str, Any]
T = TypeVar("T", bound=attrs.AttrsInstance)


@frozen(kw_only=True)
class GPTConfig:
    """The architecture of a model: `config.json`.

    Every field is described in `schemas/v2/config.schema.json`. A field that is None follows the
    rule in the property of the same meaning below (`attn_scale` in `attention_scale`, and so on).

    Attributes:
        extra: Fields that this version does not know; written back as they were read.
    """

    batch_size: int = 32
    block_size: int = 256
    vocab_size: int = 50304
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

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head if self.head_size is None else self.head_size

    @property
    def attention_width(self) -> int:
        """Width of all heads together: n_embd, unless head_size says otherwise."""
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


@frozen(kw_only=True)
class TrainingConfig:
    """Everything that shaped a run and may change between runs.

    Every field is described in `schemas/v2/training_state.schema.json`.
    """

    max_iters: int = 1000
    eval_interval: int = 100
    eval_iters: int = 20
    learning_rate: float = 0.0003
    start_step: int = 0
    warmup_iters: float = 0.0
    grad_clip: float = 1.0
    weight_decay: float = 0.1
    weight_decay_on: Literal["linear", "matrices", "all"] = "linear"
    beta1: float = 0.9
    beta2: float = 0.95
    grad_accum_steps: int = 1
    use_amp: bool = True
    amp_dtype: Literal["bf16", "fp16"] = "bf16"
    seed: int = 1337
    config_file: str | None = None
    input_file: str | None = None
    dataset_dir: str | None = None
    eval_dataset_dir: str | None = None
    log_file: str | None = None
    gold_guards: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def warmup_steps(self) -> int:
        """Updates of linear warm-up, with a fraction resolved against max_iters."""
        if 0 < self.warmup_iters < 1:
            return int(self.warmup_iters * self.max_iters)
        return int(self.warmup_iters)


@frozen(kw_only=True)
class DataFingerprint:
    """What was trained on, so that a resume can tell whether it still is."""

    source: str
    sha256: str
    train_tokens: int
    val_tokens: int
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class GoldMemory:
    """What the gold selection remembers: its best model and each guard's notes."""

    best_val_loss: float | None = None
    best_step: int | None = None
    guards: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class TrainingState:
    """Progress and hyperparameters: `training_state.json`.

    Attributes:
        step: Optimizer updates done.
    """

    step: int
    optimizer_file: str | None = None
    tokens_processed: int = 0
    elapsed_s: float = 0.0
    training_config: TrainingConfig = field(factory=TrainingConfig)
    data: DataFingerprint | None = None
    gold: GoldMemory | None = None
    scaler: Mapping[str, Any] | None = None
    exact: bool = True
    inexact_reasons: tuple[str, ...] = ()
    copy_of: str | None = None
    plugins: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class TokenizerState:
    """Vocabulary: `tokenizer.json`."""

    token_kind: str
    chars: tuple[str, ...] | None = None
    special_token_encoder: Mapping[str, int] = field(factory=dict)
    plugins: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class FileRecord:
    """Size and digest of one file of a generation."""

    size_bytes: int
    sha256: str
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Manifest:
    """Commit record: `manifest.json`.

    Attributes:
        checksum: SHA-256 of the file with these digits as zeros; None in a hand-made one.
    """

    generation: int
    files: Mapping[str, FileRecord]
    written_by: str = ""
    plugins: Mapping[str, Any] = field(factory=dict)
    checksum: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)


# The classes of whole files, whose documents begin with `format_version`.
FILES = (GPTConfig, TrainingState, TokenizerState, Manifest)


def from_document(cls: type[T], document: Document) -> T:
    """Build `cls` from a document that its schema has accepted.

    Args:
        cls: One of the classes of this module.
        document: Parsed JSON. Fields that `cls` does not have go to `extra`.
    """
    return _converter().structure(document, cls)


def to_document(value: Any, *, versioned: bool = True) -> dict[str, Any]:
    """Give the JSON object of a document, unknown fields included.

    Args:
        value: An instance of a class of this module.
        versioned: Whether to begin with `format_version`, as every file does.
    """
    document: dict[str, Any] = _converter().unstructure(value)
    return {"format_version": FORMAT_VERSION, **document} if versioned else document


@cache
def _converter() -> Converter:
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=False)

    def structure_with_extra(cls: type[Any]) -> Any:
        from cattrs.gen import make_dict_structure_fn

        names = {attribute.name for attribute in attrs.fields(cls)} - {"extra"}
        base = make_dict_structure_fn(cls, converter)

        def structure(document: Document, _: Any) -> Any:
            known = {name: document[name] for name in names if name in document}
            owned = names | ({"format_version"} if cls in FILES else set())
            extra = {name: value for name, value in document.items() if name not in owned}
            return base({**known, "extra": extra}, cls)

        return structure

    def unstructure_with_extra(cls: type[Any]) -> Any:
        from cattrs.gen import make_dict_unstructure_fn

        base = make_dict_unstructure_fn(cls, converter)

        def unstructure(value: Any) -> dict[str, Any]:
            document: dict[str, Any] = base(value)
            extra = document.pop("extra")
            return {**document, **extra}

        return unstructure

    def has_extra(cls: Any) -> bool:
        return attrs.has(cls) and any(a.name == "extra" for a in attrs.fields(cls))

    converter.register_structure_hook_factory(has_extra, structure_with_extra)
    converter.register_unstructure_hook_factory(has_extra, unstructure_with_extra)
    return converter
