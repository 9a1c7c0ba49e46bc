"""Reader of build_llm_karpathy's `checkpoint_{model}_{source}_step{N}_{time}.pt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem
from mypt.format.migrations.optimizer_moments import optimizer_settings
from mypt.format.readers.adapters import merging
from mypt.format.readers.build_llm import models
from mypt.format.readers.build_llm.adapters import make_adapter, split_adapters
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.fields import pick_known_fields
from mypt.format.readers.shared.gpt2_names import drop_masks
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys
from mypt.format.readers.shared.optimizer import try_optimizer
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.tensor_map import map_moments, map_tensors
from mypt.format.readers.shared.vocabulary import (
    CHARS_OPTION,
    GPT2,
    NO_TOKENIZER,
    TOKENIZER_OPTION,
    VERSION,
    make_char_document,
    read_char_document,
    read_hugging_face_document,
)
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage import files
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.adapters.convert import Product
    from mypt.format.readers.build_llm.models import ModelKind
    from mypt.format.readers.contract import Load

MERGED, LEFT_OUT = "merged", "left_out"
KEYS = frozenset({"model_state_dict", "hyperparameters", "vocab_size", "block_size"})
PATTERN, TOKENIZER = "checkpoint_*.pt", "tokenizer.json"
_TRAINING = {"eval_interval": "eval_interval", "eval_iters": "eval_iters"}
_ROOTS = (
    "token_embedding_table.",
    "position_embedding_table.",
    "blocks.",
    "lm_head.",
    "model.transformer.",
    "model.lm_head.",
)
_HYPERPARAMETERS = KnownKeys(
    read=frozenset(
        {
            *("model_type", "gpt2_model_name", "n_embd", "n_head", "n_layer", "dropout"),
            *("vocab_size", "block_size", "batch_size", "learning_rate", *_TRAINING),
            *("training_data_source", "tokenization_method", "training_steps", "start_step"),
            *("use_lora", "lora_rank", "lora_alpha", "lora_dropout"),
        }
    ),
    # where it wrote what, how it was trained, and how its sample after training was drawn
    ignored=frozenset(
        {
            *("custom_vocab_size", "lr_schedule", "use_lr_warmup", "test_mode", "device"),
            *("enable_checkpoints", "checkpoint_interval", "checkpoint_dir", "log_dir"),
            *("enable_output_to_file", "output_dir", "max_new_tokens"),
            *("generation_temperature", "generation_top_k"),
        }
    ),
)


def recognises(path: Path) -> bool:
    """Return whether a file, or the only snapshot of a folder, was written by this program.

    If a folder has several snapshots, the user has to choose one.
    """
    file = _find_snapshot(path)
    dicts = ("model_state_dict", "hyperparameters")
    return file is not None and peek_dict(file, KEYS, dicts) is not None


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the whole checkpoint, merging adapters into their matrices.

    Raises:
        FormatError: It is damaged, does not match its hyperparameters, or lacks information that
            is needed: LoRA's alpha, the characters.
    """
    path = _find_snapshot(path) or path
    file = str(path)
    contents = load(path)
    check_keys(contents["hyperparameters"], _HYPERPARAMETERS, file, "/hyperparameters")
    named, taken_off = unwrap_names(contents["model_state_dict"], _ROOTS, file)
    report = [f"read from {path.name}", *taken_off]
    tensors = _drop_masks(named, report)
    adapted = merging.find_adapted_layers(tensors)
    products: dict[str, Product] = {}
    if adapted:
        alpha = _choose_alpha(contents["hyperparameters"], options, file)
        if "base" in options or options.get("adapter") == LEFT_OUT:
            tensors, products = split_adapters(tensors, adapted, alpha, file)
            report.append(f"LoRA's adapters (alpha {alpha:g}) are kept apart from their matrices")
        adapted = merging.find_adapted_layers(tensors)
        tensors = merging.merge_adapters(tensors, alpha, models.is_conv1d, file)
        if adapted:
            where = "matrices" if not products else "matrix of the output layer"
            report.append(f"LoRA's adapters (alpha {alpha:g}) are merged into their {where}")
    kind = models.detect_kind(contents, tensors, bool(adapted), path)
    sources = merging.redirect_sources(kind.sources, adapted)
    weights = kind.built or map_tensors(tensors, sources, kind.config, file)
    document = kind.document
    if "base" in options and products:
        document, weights = make_adapter(
            products, sources, kind.config, weights, options["base"], file
        )
    saved = contents.get("optimizer_state_dict")
    if saved is not None and (adapted or products or kind.built):
        report.append("the optimizer state is left out: its moments belong to other tensors")
        saved = None

    def arranged() -> tuple[dict[str, Any], dict[str, Any]] | None:
        if saved is None:
            return None
        order = [name for name in tensors if name not in kind.tied]
        moments = map_moments(saved, order, sources, tensors, kind.config, rule="all", file=file)
        return moments, optimizer_settings(saved, file)

    found, flaws = try_optimizer(arranged, file)
    optimizer, used = (None, None) if found is None else found
    report += kind.report
    tokenizer = _find_tokenizer(path, contents, kind, options, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=document,
        tokenizer=tokenizer,
        training_state=_convert_training_state(contents, kind, used),
        tensors=weights,
        optimizer=optimizer,
        report=tuple(report),
        remarks=kind.remarks,
        flaws=flaws,
    )


def _find_snapshot(path: Path) -> Path | None:
    if not files.is_folder(path):
        return path
    found = list(path.glob(PATTERN))
    return found[0] if len(found) == 1 else None


def _drop_masks(tensors: Mapping[str, Any], report: list[str]) -> dict[str, Any]:
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(".tril")}
    if len(kept) < len(tensors):
        report.append("the causal masks (`tril`) are left out: they follow from block_size")
    return drop_masks(kept)


def _choose_alpha(
    hyperparameters: Mapping[str, Any], options: Mapping[str, Any], file: str
) -> float:
    """Return LoRA's alpha from the file, or else from the user's option."""
    recorded = hyperparameters.get("lora_alpha")
    given = options.get("lora_alpha", recorded)
    if given is None:
        what = "does not contain LoRA's alpha (that program's default is 32)"
        raise missing_option(file, what, "lora_alpha=32")
    if recorded is not None and recorded != given:
        what = f"is {recorded} in this file, not {given}"
        raise FormatError(Problem(file, "lora_alpha", what, "leave the option out"))
    return float(given)


def _convert_training_state(
    contents: Mapping[str, Any], kind: ModelKind, used: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the training state; `used` are the settings of the optimizer, if there is one."""
    step, hyperparameters = contents.get("step"), contents["hyperparameters"]
    if step is None:
        return None
    start = hyperparameters.get("start_step") or 0
    length = hyperparameters.get("training_steps")
    training = {
        **pick_known_fields(hyperparameters, {"learning_rate": "learning_rate", **_TRAINING}),
        **pick_known_fields(hyperparameters, {"training_data_source": "input_file"}),
        **({} if length is None else {"max_iters": start + length}),
        "start_step": start,
        "weight_decay": 0.01,
        "weight_decay_on": "all",
        "beta2": 0.999,
        "use_amp": False,
        **kind.training,
        **(used or {}),
    }
    return {
        **VERSION,
        "step": step,
        "optimizer_file": None if used is None else files.OPTIMIZER,
        "training_config": training,
        "exact": False,
        "inexact_reasons": ["begun in build_llm_karpathy, which draws other batches"],
    }


def _find_tokenizer(
    path: Path,
    contents: Mapping[str, Any],
    kind: ModelKind,
    options: Mapping[str, Any],
    report: list[str],
) -> Mapping[str, Any] | None:
    """Return the document of the vocabulary, which is never in the file itself."""
    hyperparameters, vocab_size = contents["hyperparameters"], kind.config.vocab_size
    method = "gpt2" if kind.is_gpt2 else hyperparameters.get("tokenization_method")
    if options.get("tokenizer") == NO_TOKENIZER:
        report.append("opened without a tokenizer, as asked")
        return None
    if method == "gpt2":
        return GPT2
    if method == "custom_bpe":
        beside = path.with_name(TOKENIZER)
        given = Path(options["tokenizer_json"]) if "tokenizer_json" in options else beside
        if not files.is_regular_file(given):
            what = f"was trained with its own vocabulary, and {given} does not exist"
            raise missing_option(
                str(path), what, f"tokenizer_json={TOKENIZER}", f"tokenizer={NO_TOKENIZER}"
            )
        return read_hugging_face_document(given, vocab_size, report)
    if "chars" in options:
        return make_char_document(options["chars"], vocab_size, "--option chars", report)
    if "training_text" in options:
        return read_char_document(options["training_text"], vocab_size)
    source = hyperparameters.get("training_data_source")
    trained = f"; it was trained on {source}" if source else ""
    what = f"does not hold the characters of its {vocab_size} ids{trained}"
    raise missing_option(
        str(path), what, "training_text=PATH", "chars=...", f"tokenizer={NO_TOKENIZER}"
    )


OPTIONS = {
    "type": "object",
    "properties": {
        "lora_alpha": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "LoRA's alpha, where the file does not say it.",
        },
        "adapter": {
            "enum": [MERGED, LEFT_OUT],
            "description": "What becomes of LoRA's adapters: merged, the default, or left out, for "
            "the base alone.",
        },
        "base": {
            "type": "string",
            "description": "Path of a bundle of the base alone: the adapters are read beside it.",
        },
        "training_text": {
            "type": "string",
            "description": "Path of the text the model was trained on, for its characters.",
        },
        "tokenizer_json": {
            "type": "string",
            "description": "Path of the tokenizer.json of a model with a vocabulary of its own.",
        },
        "chars": CHARS_OPTION,
        "tokenizer": TOKENIZER_OPTION,
    },
}

READER = ReaderFactory(
    "build_llm", recognises=recognises, read=read, options=OPTIONS, takes_infos=True
)
