"""Checkpoints of build_llm_karpathy: `checkpoint_{model}_{source}_step{N}_{time}.pt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem
from mypt.format.migrations.optimizer_moments import optimizer_settings
from mypt.format.readers.build_llm import models as build_llm_models
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.shared import lora
from mypt.format.readers.shared.fields import known
from mypt.format.readers.shared.optimizer import try_optimizer
from mypt.format.readers.shared.peek import dict_with
from mypt.format.readers.shared.tensor_map import arrange, arrange_moments
from mypt.format.readers.shared.vocabulary import (
    BARE,
    CHARS_OPTION,
    GPT2,
    TOKENIZER_OPTION,
    VERSION,
    ask,
    characters,
    characters_of_text,
    hugging_face,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.build_llm.models import Kind
    from mypt.format.readers.contract import Load

KEYS = frozenset({"model_state_dict", "hyperparameters", "vocab_size", "block_size"})
PATTERN, TOKENIZER = "checkpoint_*.pt", "tokenizer.json"
_TRAINING = {"eval_interval": "eval_interval", "eval_iters": "eval_iters"}


def recognises(path: Path) -> bool:
    """Tell whether a file, or the one snapshot of a folder, is of this program.

    Which of several snapshots is meant is the user's to say.
    """
    file = _file(path)
    dicts = ("model_state_dict", "hyperparameters")
    return file is not None and dict_with(file, KEYS, dicts) is not None


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read it whole, with adapters merged into their matrices.

    Raises:
        FormatError: It is damaged, is not the model that it says, or does not say what has to be
            known: LoRA's alpha, the characters.
    """
    path = _file(path) or path
    file = str(path)
    contents = load(path, file)
    report = [f"read from {path.name}"]
    tensors = _without_masks(contents["model_state_dict"], report)
    adapted = lora.adapted_layers(tensors)
    if adapted:
        alpha = _alpha(contents["hyperparameters"], options, file)
        tensors = lora.merge(tensors, alpha, build_llm_models.is_conv1d, file)
        report.append(
            f"LoRA's adapters (alpha {alpha:g}) are merged into their matrices: "
            "a config cannot say that they are separate"
        )
    kind = build_llm_models.kind_of(contents, tensors, bool(adapted), file)
    sources = lora.adapted_sources(kind.sources, adapted)
    weights = kind.built or arrange(tensors, sources, kind.config, file)
    saved = contents.get("optimizer_state_dict")
    if saved is not None and (adapted or kind.built):
        report.append("the optimizer state is left out: its moments are of other tensors")
        saved = None

    def arranged() -> tuple[dict[str, Any], dict[str, Any]] | None:
        if saved is None:
            return None
        order = [name for name in tensors if name not in kind.tied]
        moments = arrange_moments(
            saved, order, sources, tensors, kind.config, rule="all", file=file
        )
        return moments, optimizer_settings(saved, file)

    found, flaws = try_optimizer(arranged, file)
    optimizer, used = (None, None) if found is None else found
    report += kind.report
    tokenizer = _tokenizer(path, contents, kind, options, report)
    return Checkpoint(
        version="2.0",
        config=kind.document,
        tokenizer=tokenizer,
        training_state=_training_state(contents, kind, used),
        tensors=weights,
        optimizer=optimizer,
        report=tuple(report),
        flaws=flaws,
    )


def _file(path: Path) -> Path | None:
    if not path.is_dir():
        return path
    found = list(path.glob(PATTERN))
    return found[0] if len(found) == 1 else None


def _without_masks(tensors: Mapping[str, Any], report: list[str]) -> dict[str, Any]:
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(".tril")}
    if len(kept) < len(tensors):
        report.append("the causal masks (`tril`) are left out: they follow from block_size")
    return build_llm_models.without_masks(kept)


def _alpha(hyperparameters: Mapping[str, Any], options: Mapping[str, Any], file: str) -> float:
    """Give LoRA's alpha: from the file where it says it, else as the user does."""
    told = hyperparameters.get("lora_alpha")
    given = options.get("lora_alpha", told)
    if given is None:
        what = "does not say LoRA's alpha (that program's own default is 32)"
        raise ask(file, what, "lora_alpha=32")
    if told is not None and told != given:
        what = f"says that lora_alpha is {told}, not {given}"
        raise FormatError(Problem(file, "lora_alpha", what, "leave the option out"))
    return float(given)


def _training_state(
    contents: Mapping[str, Any], kind: Kind, used: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the training state; `used` are the settings of the optimizer, if there is one."""
    step, hyperparameters = contents.get("step"), contents["hyperparameters"]
    if step is None:
        return None
    start = hyperparameters.get("start_step") or 0
    length = hyperparameters.get("training_steps")
    training = {
        **known(hyperparameters, {"learning_rate": "learning_rate", **_TRAINING}),
        **known(hyperparameters, {"training_data_source": "input_file"}),
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
        "optimizer_file": None if used is None else "optimizer.pt",
        "training_config": training,
        "exact": False,
        "inexact_reasons": ["begun in build_llm_karpathy, which draws other batches"],
    }


def _tokenizer(
    path: Path,
    contents: Mapping[str, Any],
    kind: Kind,
    options: Mapping[str, Any],
    report: list[str],
) -> Mapping[str, Any] | None:
    """Find the vocabulary, which the file itself never holds."""
    hyperparameters, vocab_size = contents["hyperparameters"], kind.config.vocab_size
    method = "gpt2" if kind.is_gpt2 else hyperparameters.get("tokenization_method")
    if options.get("tokenizer") == BARE:
        report.append("opened without a tokenizer, as asked")
        return None
    if method == "gpt2":
        return GPT2
    if method == "custom_bpe":
        beside = path.with_name(TOKENIZER)
        given = Path(options["tokenizer_json"]) if "tokenizer_json" in options else beside
        if not given.is_file():
            what = f"was trained with a vocabulary of its own, and there is no {given}"
            raise ask(str(path), what, f"tokenizer_json={TOKENIZER}", f"tokenizer={BARE}")
        return hugging_face(given, vocab_size)
    if "chars" in options:
        return characters(options["chars"], vocab_size, "--option chars")
    if "training_text" in options:
        return characters_of_text(options["training_text"], vocab_size)
    source = hyperparameters.get("training_data_source")
    trained = f"; it was trained on {source}" if source else ""
    what = f"does not hold the characters of its {vocab_size} ids{trained}"
    raise ask(str(path), what, "training_text=PATH", "chars=...", f"tokenizer={BARE}")


OPTIONS = {
    "type": "object",
    "properties": {
        "lora_alpha": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "LoRA's alpha, where the file does not say it.",
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

READER = ReaderFactory("build_llm", recognises=recognises, read=read, options=OPTIONS)
