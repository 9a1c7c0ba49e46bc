"""From the folder without a version (version 1) to format 2.0.

What version 1 left to be inferred from the tensors (the activation, the biases) becomes fields of
the config, attention with one matrix per head becomes one matrix, and AdamW's moments follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.special_tokens import find_gpt2_roles
from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE
from mypt.format.errors import FormatError, Problem
from mypt.format.migrations.fuse_heads import find_fused_sources, fuse_heads
from mypt.format.migrations.optimizer_moments import migrate_optimizer, optimizer_settings
from mypt.format.migrations.step import Migration
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.checkpoint import Checkpoint

_TARGET = "2.0"  # and not FORMAT_VERSION: this step stays as it is when later ones follow
_VERSION = {"format_version": _TARGET}


def apply(checkpoint: Checkpoint) -> Checkpoint:
    """Add to the config what the tensors imply, fuse heads, and carry the moments over.

    Raises:
        FormatError: A head lacks one of its matrices, or the config lacks a size.
    """
    tensors = {n: t for n, t in checkpoint.tensors.items() if not n.endswith(".tril")}
    report = list(checkpoint.report)
    if len(tensors) < len(checkpoint.tensors):
        report.append("the causal masks (`tril`) are left out: they follow from block_size")
    config = {**_VERSION, **checkpoint.config, **_infer_fields(checkpoint.config, tensors)}
    for name in ("block_size", "vocab_size", "n_embd", "n_head", "n_layer"):
        if name not in config:
            fix = "restore config.json"
            raise FormatError(Problem(files.CONFIG, f"/{name}", "is missing", fix))
    tied = bool(config.get("tie_weights", False))
    sources = find_fused_sources(tensors)
    fused = fuse_heads(tensors, sources)
    if len(fused) < len(tensors):
        report.append("query, key and value of all heads are joined into one matrix per layer")
    optimizer = checkpoint.optimizer
    if optimizer is not None:
        optimizer = migrate_optimizer(optimizer, tensors, sources, tied=tied)
    return evolve(
        checkpoint,
        version=_TARGET,
        config=config,
        tokenizer=_upgrade_tokenizer(checkpoint.tokenizer, config["vocab_size"], report),
        training_state=_upgrade_training_state(checkpoint.training_state, checkpoint.optimizer),
        tensors=fused,
        optimizer=optimizer,
        report=tuple(report),
    )


def _infer_fields(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that version 1 left to be inferred from the tensors."""
    per_head = any(".sa.heads." in name for name in tensors)
    qkv_bias = any(name.endswith((".query.bias", ".qkv.bias")) for name in tensors)
    proj_bias = any(name.endswith(".sa.proj.bias") for name in tensors)
    bias = bool(config.get("bias", False))
    implied: dict[str, Any] = {}
    if per_head:
        implied["mlp_type"] = "relu"
    if qkv_bias != bias:
        implied["qkv_bias"] = qkv_bias
    if proj_bias != bias:
        implied["proj_bias"] = proj_bias
    return implied


def _upgrade_tokenizer(
    document: Mapping[str, Any] | None, vocab_size: Any, report: list[str]
) -> dict[str, Any] | None:
    """Return the document, with the roles of GPT-2's tokens and of those that MyPT added.

    A missing one means GPT-2's, as in MyPT, unless the ids do not fit.
    """
    if document is None and isinstance(vocab_size, int) and vocab_size < GPT2_VOCAB_SIZE:
        report.append(f"its vocabulary of {vocab_size} ids is lost: the model takes bare ids")
        return None
    upgraded = {**_VERSION, **(document or {"token_kind": "gpt2"})}
    if upgraded["token_kind"] == "gpt2" and "special_tokens" not in upgraded:
        special = upgraded.get("special_token_encoder") or {}
        upgraded["special_tokens"] = find_gpt2_roles(special)
    return upgraded


def _upgrade_training_state(
    document: Mapping[str, Any] | None, optimizer: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the document with what only the optimizer state holds: decay, betas, maybe rate."""
    if document is None or document.get("step") is None:
        return None
    settings = {} if optimizer is None else optimizer_settings(optimizer)
    training = {**settings, **document.get("training_config", {})}
    return {**_VERSION, **document, **({"training_config": training} if training else {})}


V1_TO_V2 = Migration(source="1", target=_TARGET, apply=apply)
