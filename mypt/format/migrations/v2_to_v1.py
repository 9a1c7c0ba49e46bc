"""From format 2.0 back to the folder without a version (version 1), for the earlier MyPT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.config import OPTIONAL, GPTConfig
from mypt.format.documents.convert import field_names, from_document
from mypt.format.documents.special_tokens import find_gpt2_roles
from mypt.format.documents.tokenizer import GPT2_VOCAB_SIZE, TEXT_FIELDS
from mypt.format.documents.vocabulary import pick_text_fields
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import HEAD_BIAS
from mypt.format.optimizers.adamw import NAME as ADAMW
from mypt.format.optimizers.weight_mean import KEY, drop_mean
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
# What MyPT has of the parts that its configs name.
_PARTS = {
    "pos_encoding": ("learned", "rope"),
    "mlp_type": ("gelu", "swiglu"),
    "norm_type": ("layernorm", "rmsnorm"),
}
# Its output layer has a bias, which is written as zeros where the model has none.
_COMPLETED = "head_bias"
# The fields that its configs lack, which `find_obstacles` compares with what it computes anyway.
_IMPLIED = tuple(
    name for name in field_names(GPTConfig) if name not in (*_CONFIG, "plugins", _COMPLETED)
)


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
    report = [] if config.has_head_bias else [f"{HEAD_BIAS} is added as zeros: MyPT has one"]
    state = checkpoint.training_state
    training = {} if state is None else state["training_config"]
    optimizer = _pick_optimizer(checkpoint.optimizer, training, report)
    if state is not None:
        file = None if optimizer is None else files.OPTIMIZER
        state = {
            **_pick_fields(files.TRAINING_STATE, state, _STATE, report),
            "optimizer_file": file,
        }
    return evolve(
        checkpoint,
        version="1",
        config={
            **_pick_fields(files.CONFIG, checkpoint.config, _CONFIG, report),
            "device": config.device or "cpu",
        },
        tokenizer=checkpoint.tokenizer and _downgrade_tokenizer(checkpoint.tokenizer, report),
        training_state=state,
        optimizer=optimizer,
        report=tuple(report),
    )


def find_obstacles(config: GPTConfig, tokenizer: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the fields that MyPT's fused models cannot have, with what is wrong with each."""
    known = set(_CONFIG) & set(field_names(GPTConfig))
    plain = GPTConfig(**{name: getattr(config, name) for name in known})
    found = {
        name: _describe_difference(name, config, plain)
        for name in _IMPLIED
        if config.meaning_of(name) != plain.meaning_of(name)
    }
    for name, values in _PARTS.items():
        if getattr(config, name) not in values:
            found[name] = f"is {getattr(config, name)}, but MyPT has {' and '.join(values)}"
    if tokenizer is not None and tokenizer["token_kind"] not in ("char", "gpt2"):
        found["vocab_size"] = f"belongs to the tokenizer {tokenizer['token_kind']}"
    elif tokenizer is not None and tokenizer.get("requires"):
        found["vocab_size"] = f"belongs to a tokenizer that requires {tokenizer['requires'][0]}"
    if config.requires:
        found["requires"] = f"names {', '.join(config.requires)}, and MyPT knows no features"
    return found


def _describe_difference(name: str, config: GPTConfig, plain: GPTConfig) -> str:
    ours, theirs = config.meaning_of(name), plain.meaning_of(name)
    if name in OPTIONAL:
        return f"is {ours}, which MyPT does not have"
    if isinstance(theirs, str):
        return f"is {ours}, but MyPT has {theirs}"
    return f"means {ours}, but MyPT computes with {theirs}"


def _pick_fields(
    file: str, document: Mapping[str, Any], names: tuple[str, ...], report: list[str]
) -> dict[str, Any]:
    dropped = [
        name
        for name, value in document.items()
        if name not in (*names, "format_version", *_IMPLIED, _COMPLETED)
        and value not in (None, {}, [])
    ]
    if dropped:
        report.append(f"{file}, left out: {', '.join(dropped)}")
    return {name: document[name] for name in names if name in document}


def _pick_optimizer(
    optimizer: Mapping[str, Any] | None, training: Mapping[str, Any], report: list[str]
) -> Mapping[str, Any] | None:
    """Return the state of AdamW; MyPT trains with nothing else, and with two groups alone."""
    if optimizer is None:
        return None
    if optimizer["optimizer"] != ADAMW:
        name = optimizer["optimizer"]
        report.append(f"{files.OPTIMIZER} is left out: it is of {name}, and MyPT has AdamW alone")
        return None
    if any("initial_lr" in group for group in optimizer["param_groups"]):
        report.append(f"{files.OPTIMIZER}: MyPT has one learning rate for all parameters")
    if training.get("weight_decay_on") == "matrices":
        report.append(f"{files.OPTIMIZER}: MyPT does not let weight decay apply to embeddings")
    if any(KEY in entry for entry in optimizer["state"].values()):
        report.append(f"{files.OPTIMIZER}: the mean of the weights is left out: MyPT has none")
    state = {name: drop_mean(entry, {}) for name, entry in optimizer["state"].items()}
    return {**optimizer, "state": state}


def _downgrade_tokenizer(document: Mapping[str, Any], report: list[str]) -> dict[str, Any]:
    implied = _list_implied(document)
    told = {name: value for name, value in document.items() if name not in implied}
    kept = _pick_fields(files.TOKENIZER, told, _TOKENIZER, report)
    special = kept.get("special_token_encoder") or {}
    if special and kept["token_kind"] != "gpt2":
        few = ", ".join([*special][:3]) + (", ..." if len(special) > 3 else "")
        what = "MyPT has special tokens in gpt2's vocabulary alone; ids without a text are left of"
        report.append(f"{files.TOKENIZER}: {what} {few}")
    if not special or kept["token_kind"] != "gpt2":
        kept.pop("special_token_encoder", None)
    if kept["token_kind"] == "gpt2":
        kept.setdefault("base_vocab_size", GPT2_VOCAB_SIZE)
    return kept


def _list_implied(document: Mapping[str, Any]) -> list[str]:
    """Return the fields on texts that the way back to version 2 makes again."""
    is_gpt2 = document["token_kind"] == "gpt2"
    roles = find_gpt2_roles(document.get("special_token_encoder") or {}) if is_gpt2 else {}
    plain = pick_text_fields({"token_kind": "", "special_tokens": roles})
    told = pick_text_fields(document)
    return [name for name in TEXT_FIELDS if getattr(told, name) == getattr(plain, name)]
