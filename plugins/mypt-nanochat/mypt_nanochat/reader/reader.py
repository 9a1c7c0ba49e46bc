"""The reader of nanochat's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.plugins import Checkpoint, GPTConfig, ReaderFactory
from mypt_nanochat.reader import folders
from mypt_nanochat.reader.model import check_tensors, count_rows, list_sources, read_config
from mypt_nanochat.reader.tokenizer_file import NO_TOKENIZER, read_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIONS = {
    "type": "object",
    "properties": {
        "model": {
            "type": "string",
            "description": "Which of the models in a folder, such as base_checkpoints/d12.",
        },
        "tokenizer": {
            "type": "string",
            "minLength": 1,
            "description": "Path of its tokenizer.pkl; none: open the model as one of bare ids.",
        },
    },
}


def read(path: Path, load: Callable[[Path], Any], options: Mapping[str, Any]) -> Checkpoint:
    """Read a model and its tokenizer; the state of its optimizers is left out.

    Raises:
        FormatError: Something is damaged, missing, or of another version of nanochat.
    """
    files = folders.choose_model(path, options.get("model"))
    tensors = folders.unwrap_names(load(files.weights))
    config = read_config(files.meta, len(tensors))
    held = GPTConfig(**config)
    sources = list_sources(held)
    check_tensors(tensors, sources.values(), str(files.weights))
    report = [
        f"read from {files.weights.name}, after {files.step} steps",
        "the state of the optimizers (Muon and AdamW) is left out",
    ]
    if count_rows(held.vocab_size) > held.vocab_size:
        beyond = f"{held.vocab_size} ... {count_rows(held.vocab_size) - 1}"
        report.append(f"rows {beyond} of the vocabulary are left out: nanochat never reads them")
    return Checkpoint(
        config=config,
        tokenizer=_find_tokenizer(files.tokenizer, held.vocab_size, options),
        tensors={name: source.take(tensors) for name, source in sources.items()},
        report=tuple(report),
    )


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
