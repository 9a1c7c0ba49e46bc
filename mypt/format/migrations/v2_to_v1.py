"""From format 2.0 back to the folder without a version (version 1), for the earlier MyPT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.config import DERIVED, GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.errors import FormatError, Problem
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.checkpoint import Checkpoint

# The fields that MyPT's last release reads from each document; it ignores all others.
_CONFIG = (
    *("batch_size", "block_size", "vocab_size", "n_embd", "n_head", "n_layer", "dropout", "bias"),
    *("device", "use_loss_mask", "save_dtype", "use_checkpoint", "batch_sampling_mode"),
    *("pad_token_id", "episode_min_tokens", "epoch_seed", "epoch_shuffle", "epoch_drop_last"),
    *("tie_weights", "pos_encoding", "mlp_type", "norm_type", "rope_theta", "rope_scale"),
    *("neftune_alpha", "segment_position_reset"),
)
_STATE = ("step", "optimizer_file", "training_config", "model_dtype_at_save", "checkpoint_dtype")
_TOKENIZER = (
    *("token_kind", "chars", "base_vocab_size", "model_vocab_size", "special_token_encoder"),
    *("special_tokens_by_name", "special_token_version"),
)
# Fields that `find_obstacles` has checked to be what MyPT computes anyway.
_IMPLIED = ("attention_type", "block_type", *DERIVED)


def apply(checkpoint: Checkpoint) -> Checkpoint:
    """Drop the fields that version 1 does not have, and report them.

    Raises:
        FormatError: MyPT would compute something else; all reasons are listed.
    """
    config = from_document(GPTConfig, checkpoint.config)
    problems = [
        Problem(files.CONFIG, f"/{name}", what, "keep format 2.0: version 1 cannot express this")
        for name, what in find_obstacles(config, checkpoint.tokenizer).items()
    ]
    if problems:
        raise FormatError(*problems)
    report: list[str] = []
    return evolve(
        checkpoint,
        version="1",
        config={
            **_pick_fields(files.CONFIG, checkpoint.config, _CONFIG, report),
            "device": config.device or "cpu",
        },
        tokenizer=checkpoint.tokenizer and _downgrade_tokenizer(checkpoint.tokenizer, report),
        training_state=checkpoint.training_state
        and _pick_fields(files.TRAINING_STATE, checkpoint.training_state, _STATE, report),
        report=tuple(report),
    )


def find_obstacles(config: GPTConfig, tokenizer: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the fields that MyPT's fused models cannot have, with what is wrong with each."""
    plain = GPTConfig(
        n_embd=config.n_embd,
        n_head=config.n_head,
        bias=config.bias,
        mlp_type=config.mlp_type,
        norm_type=config.norm_type,
    )
    found = {
        name: f"means {getattr(config, rule)}, but MyPT computes with {getattr(plain, rule)}"
        for name, rule in DERIVED.items()
        if getattr(config, rule) != getattr(plain, rule)
    }
    known = {
        "pos_encoding": ("learned", "rope"),
        "mlp_type": ("gelu", "swiglu"),
        "norm_type": ("layernorm", "rmsnorm"),
        "attention_type": ("causal",),
        "block_type": ("pre_norm",),
    }
    for name, values in known.items():
        if getattr(config, name) not in values:
            found[name] = f"is {getattr(config, name)}, but MyPT has {' and '.join(values)}"
    if tokenizer is not None and tokenizer["token_kind"] not in ("char", "gpt2"):
        found["vocab_size"] = f"belongs to the tokenizer {tokenizer['token_kind']}"
    return found


def _pick_fields(
    file: str, document: Mapping[str, Any], names: tuple[str, ...], report: list[str]
) -> dict[str, Any]:
    dropped = [
        name
        for name, value in document.items()
        if name not in (*names, "format_version", *_IMPLIED) and value not in (None, {}, [])
    ]
    if dropped:
        report.append(f"{file}, left out: {', '.join(dropped)}")
    return {name: document[name] for name in names if name in document}


def _downgrade_tokenizer(document: Mapping[str, Any], report: list[str]) -> dict[str, Any]:
    kept = _pick_fields(files.TOKENIZER, document, _TOKENIZER, report)
    if not kept.get("special_token_encoder"):
        kept.pop("special_token_encoder", None)
    if kept["token_kind"] == "gpt2":
        kept.setdefault("base_vocab_size", GPT2_VOCAB_SIZE)
    return kept
