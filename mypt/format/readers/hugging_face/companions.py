"""The documents beside a `tokenizer.json` in a Hugging Face folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.storage.files import is_regular_file, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAMES = ("tokenizer_config", "generation_config")
_ENDS = ("bos_token_id", "eos_token_id")


def read_companions(path: Path, hf_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the documents by their names without `.json`.

    The ids of a `config.json` stand for a `generation_config.json` that is not there, as in
    `transformers`.

    Raises:
        FormatError: One of them is not a strict JSON object.
        OSError: It cannot be read.
    """
    files = {name: path / f"{name}.json" for name in _NAMES}
    found = {
        n: read_document(file, str(file))[0] for n, file in files.items() if is_regular_file(file)
    }
    ends = {name: hf_config[name] for name in _ENDS if hf_config.get(name) is not None}
    return {"generation_config": ends, **found} if ends else found
