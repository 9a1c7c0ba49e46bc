"""Reader of version 1: the folder whose documents carry no version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.optimizer import try_optimizer
from mypt.format.storage import files
from mypt.format.storage.generations import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load

NAME = "mypt_folder"
GOLD = "gold_selection_state.json"


def recognises(path: Path) -> bool:
    """Return whether this is a folder of version 1."""
    if not all(files.is_regular_file(path / name) for name in (files.CONFIG, files.MODEL)):
        return False
    try:
        config, _ = files.read_document(path / files.CONFIG, files.CONFIG)
    except (FormatError, OSError):
        return False
    return "format_version" not in config and "n_layer" in config


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:  # noqa: ARG001
    """Read the whole folder; only `config.json` and `model.pt` are required.

    Raises:
        FormatError: A file is damaged, or contains something other than tensors and plain values;
            or the training state names an optimizer's file outside of the folder.
    """
    config = _read_optional_document(path / files.CONFIG)
    state, flaws = _read_training_state(path / files.TRAINING_STATE)
    optimizer_file = _find_optimizer_file(path, state or {})
    optimizer = None
    if optimizer_file is not None:
        optimizer, damage = try_optimizer(lambda: dict(load(optimizer_file)), str(optimizer_file))
        flaws += damage
    if state is not None:
        state = {**_read_gold(path / GOLD), **state}
    return Checkpoint(
        version="1",
        config=config or {},
        tokenizer=_read_optional_document(path / files.TOKENIZER),
        training_state=state,
        tensors=_load_weights(path / files.MODEL, load),
        optimizer=optimizer,
        report=(f"read from {path.name}",),
        flaws=flaws,
    )


def _read_optional_document(path: Path) -> dict[str, Any] | None:
    return files.read_document(path, str(path))[0] if files.is_present(path) else None


def _read_training_state(path: Path) -> tuple[dict[str, Any] | None, tuple[Problem, ...]]:
    try:
        return _read_optional_document(path), ()
    except FormatError as error:
        return None, error.problems
    except OSError as error:
        return None, (files.unreadable_problem(error, str(path)),)


def _read_gold(path: Path) -> dict[str, Any]:
    """Return a run's record of its gold checkpoint as fields of the training state."""
    try:
        gold = _read_optional_document(path) or {}
    except (FormatError, OSError):
        return {}  # it describes another checkpoint, and is not needed to read this one
    loss, step = gold.get("best_gold_val_loss"), gold.get("gold_step")
    if type(loss) is not float or type(step) is not int:
        return {}
    return {"gold": {"best_val_loss": loss, "best_step": step, "guards": {}}}


def _load_weights(path: Path, load: Load) -> dict[str, Any]:
    """Return the state dict, which later releases wrapped together with the names of dtypes."""
    contents = load(path)
    wrapped = contents.get("state_dict")
    return dict(wrapped) if isinstance(wrapped, dict) else dict(contents)


def _find_optimizer_file(folder: Path, state: Mapping[str, Any]) -> Path | None:
    """Return the optimizer's file; None if it is not named, or was removed."""
    name = state.get("optimizer_file")
    if not isinstance(name, str):
        return None
    if not files.is_file_name(name):
        file, fix = str(folder / files.TRAINING_STATE), "name a file of this folder"
        raise FormatError(Problem(file, "/optimizer_file", "leaves the folder", fix))
    path = folder / name
    return path if FILE_NAME.fullmatch(name) and files.is_present(path) else None
