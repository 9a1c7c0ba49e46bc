"""The copies that a run leaves beside its bundle: gold, half precision, numbered ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mypt.engine.checkpoints.paths import sibling
from mypt.format.errors import FormatError
from mypt.format.storage import files
from mypt.format.storage.generations import committed_document

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.documents.training import TrainingConfig, TrainingState

# How the copies of a model that have a name are called, and what is to be said of their weights.
_NAMED = {"gold": ("gold", ""), "fp16": ("half-precision", " (its weights are rounded)")}


def copies(folder: Path) -> list[Path]:
    """Find all copies of a model that there are: gold, half precision, then by rising step."""
    folder = folder if folder.name else folder.absolute()
    named = [sibling(folder, "gold"), sibling(folder, "fp16")]
    there = [path for path in named if path.is_dir() and _is_copy(path, folder.name)]
    return [*there, *snapshots(folder).values()]


def name_notices(folder: Path, state: TrainingState | None) -> tuple[str, ...]:
    """Say what it means to train a model where the gold or half-precision copy of another goes.

    Args:
        folder: The model.
        state: What it goes on from; None for a new model.
    """
    origin, _, kind = folder.name.rpartition("_")
    if not origin or kind not in _NAMED:
        return ()
    named, weights = _NAMED[kind]
    if state is None:
        what = f"is where a model called {origin} keeps its {named} copy"
        meaning = f"{origin} cannot be trained beside it. Better choose another name"
    elif state.copy_of == origin:
        what = f"is the {named} copy of {origin}{weights}, and becomes a model of its own"
        better = f"mypt train --model_name NEW --init_from_model {folder.name}"
        meaning = f"{origin} cannot be trained from then on. Better: {better}"
    else:
        return ()
    return (f"{folder} {what}; {meaning}",)


def snapshot_steps(training: TrainingConfig, step: int) -> list[int]:
    """List the steps after `step` of which a run leaves a numbered copy, for ever or a while."""
    interval = training.snapshot_interval
    if not interval:
        return []
    return [s for s in range(interval, training.max_iters + 1, interval) if s > step]


def snapshots(folder: Path) -> dict[int, Path]:
    """Find the numbered copies of a model, by rising step.

    A folder of such a name that is a model of its own, or cannot be read, is none.
    """
    return {step: path for step, path in numbered(folder).items() if _is_copy(path, folder.name)}


def numbered(folder: Path) -> dict[int, Path]:
    """Find the folders that have the names of numbered copies of a model, by rising step."""
    named = re.compile(rf"{re.escape(folder.name)}_step([0-9]{{8,}})")
    matches = ((named.fullmatch(path.name), path) for path in folder.parent.iterdir())
    found = ((int(match[1]), path) for match, path in matches if match and path.is_dir())
    return dict(sorted(found))


def _is_copy(path: Path, name: str) -> bool:
    try:
        return copied_from(path) == name
    except (FormatError, OSError):
        return False


def copied_from(folder: Path) -> str | None:
    """Tell which model a bundle is a copy of, None for one of its own.

    Raises:
        FormatError: Its training state is damaged.
        OSError: It cannot be read.
    """
    state = committed_document(folder, files.TRAINING_STATE)
    return None if state is None else state.get("copy_of")
