"""Data sets, which users name for a model by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.errors import Problem
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from pathlib import Path

METADATA_FILE = "dataset_metadata.json"
STATE_FILE = "tokenizer_state.json"


def explain_dataset(path: Path) -> Problem | None:
    """Return that a folder is a data set, whole or not, and no model; None if it is none.

    Args:
        path: What is no bundle, and what no reader recognises.
    """
    if not any(is_regular_file(path / name) for name in (METADATA_FILE, STATE_FILE)):
        return None
    fix = f"name a model, or look into the data set with: mypt data inspect {path}"
    return Problem(str(path), "", "is a data set, not a model", fix, kind="checkpoint.dataset")
