"""The log of a model: where it may be, whose lines in it are its own, and its last losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.checkpoints.paths import log_file_beside, log_file_of
from mypt.engine.config.folders import CHECKPOINTS, LOGS
from mypt.engine.logging.log_file import find_evaluation
from mypt.engine.logging.log_lines import LogOwner
from mypt.format.documents.training import TrainingConfig
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.format.documents.training import TrainingState


def owner_of_log(folder: Path, state: TrainingState | None) -> LogOwner:
    """Return whose lines of a log are those of a model, or of the model that it is a copy of."""
    name = folder.resolve().name
    if state is None:
        return LogOwner(name, None)
    return LogOwner(state.copy_of or name, state.run_id)


def list_log_places(folder: Path, state: TrainingState | None) -> list[Path]:
    """Return where a model's log may be: as configured, by its name, and beside its tree."""
    return list(dict.fromkeys(_list_places(folder.resolve(), state)))


def _list_places(folder: Path, state: TrainingState | None) -> Iterator[Path]:
    training = TrainingConfig() if state is None else state.training_config
    name = owner_of_log(folder, state).model_name
    log = log_file_of(training, name)
    if training.log_file is None and state is not None and state.run_id is not None:
        beside = log_file_beside(log, state.run_id)
        if is_regular_file(beside):
            yield beside
    yield log
    by_name = log_file_of(TrainingConfig(), name)
    yield by_name
    if folder.parent.name == CHECKPOINTS.name:
        yield folder.parent.parent / LOGS / by_name.name


def read_last_losses(folder: Path, state: TrainingState | None) -> dict[str, float]:
    """Return the losses of the last evaluation of a model, in nats per token.

    Args:
        folder: The model.
        state: Its training state.

    Returns:
        `train` and `val`, without one that was not finite; nothing where the log of its run is not
        here.

    Raises:
        OSError: The log cannot be read.
    """
    if state is None or state.run_id is None:
        return {}
    for place in list_log_places(folder, state):
        event = find_evaluation(place, state.run_id, state.step) if is_regular_file(place) else None
        if event is not None:
            losses = {split: event.get(f"{split}_loss") for split in ("train", "val")}
            return {split: float(loss) for split, loss in losses.items() if isinstance(loss, float)}
    return {}
