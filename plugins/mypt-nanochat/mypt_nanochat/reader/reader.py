"""The reader of nanochat's checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.plugins import Checkpoint, ConfigError, FormatError, GPTConfig, ReaderFactory
from mypt_nanochat.reader import folders
from mypt_nanochat.reader.model import check_tensors, count_rows, list_sources, read_config
from mypt_nanochat.reader.optimizer_files import list_shards, read_optimizer
from mypt_nanochat.reader.tokenizer_file import NO_TOKENIZER, read_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.plugins import Problem
    from mypt_nanochat.reader.model import Source
    from mypt_nanochat.reader.optimizer_files import SavedOptimizer

OPTIONS = {
    "type": "object",
    "properties": {
        "model": {
            "type": "string",
            "description": "Which of the models in a folder, such as base_checkpoints/d12.",
        },
        "step": {
            "type": "integer",
            "minimum": 0,
            "description": "After which of the steps in a folder; by default the last.",
        },
        "tokenizer": {
            "type": "string",
            "minLength": 1,
            "description": "Path of its tokenizer.pkl; none: open the model as one of bare ids.",
        },
    },
}


def read(path: Path, load: Callable[[Path], Any], options: Mapping[str, Any]) -> Checkpoint:
    """Read a model, its tokenizer, and the state of its optimizer where there is one.

    Raises:
        FormatError: Something is damaged, missing, or of another version of nanochat.
    """
    files = folders.choose_model(path, options.get("model"), options.get("step"))
    tensors = folders.unwrap_names(load(files.weights))
    config = read_config(files.meta, len(tensors))
    held = GPTConfig(**config)
    sources = list_sources(held)
    check_tensors(tensors, sources.values(), str(files.weights))
    report = [f"read from {files.weights.name}, after {files.step} steps"]
    if count_rows(held.vocab_size) > held.vocab_size:
        beyond = f"{held.vocab_size} ... {count_rows(held.vocab_size) - 1}"
        report.append(f"rows {beyond} of the vocabulary are left out: nanochat never reads them")
    saved, flaws = _try_optimizer(files, load, sources, tensors, report)
    batches = _read_batches(files.meta)
    state = None
    if saved is not None:
        report += saved.notes
        state = {
            "step": files.step,
            "optimizer_file": "optimizer.pt",
            "training_config": {**saved.training, **batches["training"]},
            "exact": False,
            "inexact_reasons": ["begun in nanochat, which draws other batches"],
        }
    return Checkpoint(
        config={**config, **batches["config"]},
        tokenizer=_find_tokenizer(files.tokenizer, held.vocab_size, options),
        training_state=state,
        tensors={name: source.take(tensors) for name, source in sources.items()},
        optimizer=None if saved is None else saved.document,
        report=tuple(report),
        flaws=flaws,
    )


def _try_optimizer(
    files: folders.ModelFiles,
    load: Callable[[Path], Any],
    sources: Mapping[str, Source],
    tensors: Mapping[str, Any],
    report: list[str],
) -> tuple[SavedOptimizer | None, tuple[Problem, ...]]:
    """Return the state of the optimizer, if there is one, and what is wrong with it."""
    shards = list_shards(files)
    if not shards:
        report.append("there is no state of the optimizer: training begins with a fresh one")
        return None, ()
    try:
        return read_optimizer(shards, load, sources, tensors), ()
    except (ConfigError, FormatError) as error:
        return None, error.problems


def _read_batches(meta: Path) -> dict[str, dict[str, Any]]:
    """Return what a document `meta_....json` says of batches, as far as it says it."""
    document = json.loads(meta.read_text(encoding="utf-8"))
    size, length, total = (
        document.get(name) for name in ("device_batch_size", "max_seq_len", "total_batch_size")
    )
    settings = document.get("user_config")
    steps = settings.get("num_iterations") if isinstance(settings, dict) else None
    training: dict[str, Any] = {"max_iters": steps} if _is_count(steps) else {}
    if not (_is_count(size) and _is_count(length) and _is_count(total)):
        return {"config": {}, "training": training}
    return {
        "config": {"batch_size": size},
        "training": {**training, "grad_accum_steps": max(1, total // (size * length))},
    }


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**31


def _find_tokenizer(
    usual: Path, vocab_size: int, options: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    chosen = options.get("tokenizer")
    if chosen == NO_TOKENIZER:
        return None
    return read_tokenizer(Path(chosen) if chosen else usual, vocab_size)


READER = ReaderFactory(
    "nanochat",
    recognises=folders.recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
)
