"""Find the log of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mypt.engine.checkpoints.paths import CHECKPOINTS, LOGS, find_checkpoint, log_file_of
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.format.errors import Problem, UsageError
from mypt.format.open import is_checkpoint, open_checkpoint
from mypt.plotting.read_log import read_log
from mypt.plotting.run import disambiguate_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypt.plotting.run import Run
    from mypt.plugins.manager import Plugins


def read_runs(names: Iterable[str], plugins: Plugins) -> list[Run]:
    """Read one run for each log or model; runs of the same name get their folder as a prefix.

    Args:
        names: Paths of logs, and paths or names of models.
        plugins: Where the readers of old checkpoints are looked up.

    Raises:
        UsageError: There is no such log or model, or the model's log is missing.
        FormatError: A log or a checkpoint is damaged.
    """
    return disambiguate_names([_read_run(name, plugins) for name in names])


def _read_run(name: str, plugins: Plugins) -> Run:
    path = Path(name)
    if path.is_file() and not is_checkpoint(path, plugins):
        return read_log(path)
    alone = log_file_of(TrainingConfig(), name) if path.name == name else path
    if not path.exists() and not (CHECKPOINTS / name).exists() and alone.is_file():
        return read_log(alone, name)  # the model is gone, its log is not
    folder = find_checkpoint(name)
    state = open_checkpoint(folder, plugins).training_state
    places = list(dict.fromkeys(_candidate_paths(folder.resolve(), state)))
    for place in places:
        if place.is_file():
            return read_log(place, folder.resolve().name)
    looked = " or ".join(map(str, places))
    what = f"its log is not at {looked}"
    raise UsageError(Problem(str(folder), "", what, "name the log itself", kind="log.missing"))


def _candidate_paths(folder: Path, state: TrainingState | None) -> Iterator[Path]:
    """Yield where a model's log may be: as configured, by its name, and beside its tree."""
    training = TrainingConfig() if state is None else state.training_config
    name = folder.name if state is None or state.copy_of is None else state.copy_of
    yield log_file_of(training, name)
    by_name = log_file_of(TrainingConfig(), name)
    yield by_name
    if folder.parent.name == CHECKPOINTS.name:
        yield folder.parent.parent / LOGS / by_name.name
