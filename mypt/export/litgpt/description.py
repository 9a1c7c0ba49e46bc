"""The `model_config.yaml` that litgpt has for a model, and why it can have none.

litgpt can compute what a config says if its reader makes of the description of the model a config
that means the same. Allowed are biases that the model lacks and litgpt has: they are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.export.differences import FILE, UNSUPPORTED, explain_difference, list_implied
from mypt.format.documents.config import BIAS_FIELDS
from mypt.format.errors import ConfigError, FormatError, Problem
from mypt.format.readers.litgpt.model_config import (
    BLOCKS,
    DEFAULTS,
    MLPS,
    NORM_FIELDS,
    NORMS,
    OF_EXPERTS,
    QK_NORMS,
    WITH_OFFSET,
    WITHOUT,
    WITHOUT_WEIGHTS,
    convert_config,
)
from mypt.format.readers.shared.tensor_map import make_config
from mypt.format.rules.equivalence import list_differences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig

_NAME = "mypt"
# Blocks whose parts see the same input, and whether these have one norm.
_PARALLEL = {"parallel": True, "parallel_two_norms": False}


@frozen
class Description:
    """A model as litgpt has it.

    Attributes:
        document: Its `model_config.yaml`.
        config: What litgpt computes with it; None if it cannot have such a model at all.
        differing: The fields in which that means something else, apart from biases that litgpt has
            besides.
        why: Why it cannot have it.
    """

    document: Mapping[str, Any]
    config: GPTConfig | None
    differing: tuple[str, ...] = ()
    why: str = ""


def explain(config: GPTConfig) -> list[Problem]:
    """Return why litgpt cannot compute what a config says; nothing if it can."""
    found = describe(config)
    if found.config is None:
        what = f"describes a model that litgpt cannot have: {found.why}"
        return [Problem(FILE, "", what, "use mypt itself", kind=UNSUPPORTED)]
    return [explain_difference(f, config, found.config, "litgpt") for f in found.differing]


def describe(config: GPTConfig) -> Description:
    """Return a model as litgpt has it, compared with the model."""
    document = _make_document(config)
    try:
        fields = convert_config(document, FILE)
        _, theirs = make_config({**fields, "tie_weights": config.tie_weights}, FILE)
    except (ConfigError, FormatError) as error:
        return Description(document, None, why=str(error.problems[0]))
    skipped = {name for name in BIAS_FIELDS if theirs.meaning_of(name)}
    skipped |= list_implied(config, theirs)
    differing = [name for name in list_differences(config, theirs) if name not in skipped]
    return Description(document, theirs, tuple(differing))


def _make_document(config: GPTConfig) -> dict[str, Any]:
    """Return all fields of litgpt's class; what it cannot say may be wrong."""
    bias = config.has_proj_bias or config.has_mlp_bias
    return {
        **DEFAULTS,
        **OF_EXPERTS,
        **WITHOUT,
        "name": _choose_name(config),
        "block_size": config.block_size,
        "n_layer": config.n_layer,
        "n_embd": config.n_embd,
        "vocab_size": config.vocab_size,
        "padding_multiple": 1,
        "padded_vocab_size": config.vocab_size,
        "n_head": config.n_head,
        "n_query_groups": config.kv_heads,
        "head_size": config.head_width,
        "bias": bias,
        "attn_bias": config.has_qkv_bias and not bias,
        "lm_head_bias": config.has_head_bias,
        "intermediate_size": config.mlp_width,
        "scale_embeddings": config.embedding_scale != 1.0,
        "attention_logit_softcapping": config.attn_soft_cap,
        "final_logit_softcapping": config.logit_soft_cap,
        **_describe_scale(config),
        **_describe_parts(config),
        **_describe_windows(config),
        **_describe_rotation(config),
    }


def _choose_name(config: GPTConfig) -> str:
    """Return a name, by which litgpt chooses among norms."""
    if config.norm_offset:
        return WITH_OFFSET
    return _NAME if config.has_norm_weight else WITHOUT_WEIGHTS


def _describe_scale(config: GPTConfig) -> dict[str, Any]:
    usual: float = config.head_width**-0.5
    if config.attention_scale == usual:
        return {}
    scalar = config.attention_scale**-2
    whole = round(scalar)
    return {
        "attention_scores_scalar": whole if whole and abs(scalar / whole - 1) < 1e-12 else scalar
    }


def _describe_parts(config: GPTConfig) -> dict[str, Any]:
    kinds = {ours: theirs for theirs, ours in MLPS.items()}
    norms = {ours: theirs for theirs, ours in NORMS.items()}
    blocks = {ours: theirs for theirs, ours in BLOCKS.items()}
    around = blocks.get(config.block_type, (True, True, False, False))
    kind, form = kinds.get(config.mlp_type, ("GptNeoxMLP", "none"))
    found = {
        "mlp_class_name": kind,
        "gelu_approximate": form,
        "norm_class_name": norms.get(config.norm_type, "LayerNorm"),
        "norm_eps": config.norm_epsilon,
        "norm_qk": config.qk_norm is not None,
        "parallel_residual": config.block_type in _PARALLEL,
        "shared_attention_norm": _PARALLEL.get(config.block_type, False),
        **dict(zip(NORM_FIELDS, around, strict=True)),
    }
    names = {ours: theirs for theirs, ours in QK_NORMS.items()}
    return found | ({} if config.qk_norm is None else {"norm_qk_type": names[config.qk_norm]})


def _describe_windows(config: GPTConfig) -> dict[str, Any]:
    windows = [config.window_at(layer) for layer in range(config.n_layer)]
    if not any(windows):
        return {}
    return {
        "sliding_window_size": config.sliding_window,
        "sliding_window_indices": [int(window is not None) for window in windows],
    }


def _describe_rotation(config: GPTConfig) -> dict[str, Any]:
    windows = [config.window_at(layer) for layer in range(config.n_layer)]
    rotated = config.rotated_width if config.is_rotated(0) else 0
    found: dict[str, Any] = {
        "rotary_percentage": _find_share(rotated, config.head_width),
        "rope_base": config.rope_theta,
    }
    scaling, own = config.rope_scaling, config.rope_theta_sliding
    if scaling is not None and scaling.kind == "llama3":
        found["rope_adjustments"] = {
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_seq_len": scaling.original_block_size,
        }
    if own is not None and any(windows):
        found["rope_local_base_freq"] = own
        found["rope_indices"] = [int(window is not None) for window in windows]
    if config.rope_scale != 1.0:
        if "rope_local_base_freq" in found and scaling is None:  # the ratio is of all layers
            found["rope_adjustments"] = {"factor": config.rope_scale}
        else:
            found["rope_condense_ratio"] = config.rope_scale
    return found


def _find_share(rotated: int, width: int) -> float:
    """Return the share of a head of which litgpt, rounding down, makes so many values."""
    share = rotated / width
    return share if int(share * width) == rotated else (rotated + 0.5) / width
