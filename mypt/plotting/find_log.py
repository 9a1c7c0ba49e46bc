"""Find the log of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.api.model_log import list_log_places, owner_of_log
from mypt.engine.checkpoints.paths import find_checkpoint, log_file_of
from mypt.engine.config.folders import CHECKPOINTS
from mypt.engine.logging.log_lines import is_event, parse_line
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import Problem, UsageError
from mypt.format.open import is_checkpoint, open_checkpoint, share_among
from mypt.format.storage.files import is_present, is_regular_file
from mypt.plotting.lr_curve import find_schedules
from mypt.plotting.read_log import read_last_run, read_log, read_run
from mypt.plotting.run import disambiguate_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.plotting.run import Run
    from mypt.plugins.manager import Plugins

_LONGEST_LINE_BYTES = 1 << 20


def read_runs(
    names: Sequence[str], plugins: Plugins, options: Mapping[str, Any] | None = None
) -> list[Run]:
    """Read the runs of each log, and one of each model.

    Runs of the same name get their folder as a prefix.

    Args:
        names: Paths of logs, and paths or names of models.
        plugins: Where the readers of old checkpoints are looked up.
        options: What the readers of checkpoints of other programs have to be told.

    Raises:
        UsageError: There is no such log or model, or the model's log is missing; or none of the
            readers has one of the options.
        FormatError: A log or a checkpoint is damaged.
    """
    models = {name: path for name in names if (path := _find_model(name, plugins)) is not None}
    shared = share_among([*models.values()], plugins.readers.values(), options or {})
    told = dict(zip(models, shared, strict=True))
    runs = []
    for name in names:
        if name in models:
            runs.append(_read_run(models[name], plugins, told[name]))
        else:
            runs += _read_alone(name)
    return disambiguate_names([find_schedules(run, plugins) for run in runs])


def _find_model(name: str, plugins: Plugins) -> Path | None:
    """Return the checkpoint of a model; None where a log is named, or is all that is left."""
    path = Path(name)
    if is_regular_file(path) and (_begins_with_event(path) or not is_checkpoint(path, plugins)):
        return None
    is_gone = not is_present(path) and not is_present(CHECKPOINTS / name)
    return None if is_gone and is_regular_file(_log_by_name(name)) else find_checkpoint(name)


def _begins_with_event(path: Path) -> bool:
    """Return whether a file is a log by its first line, so that no reader need be asked."""
    with path.open("rb") as stream:
        event = parse_line(stream.readline(_LONGEST_LINE_BYTES))
    return event is not None and is_event(event)


def _log_by_name(name: str) -> Path:
    return log_file_of(TrainingConfig(), name) if Path(name).name == name else Path(name)


def _read_alone(name: str) -> list[Run]:
    """Read all that a log has, or the last run of a model that is gone."""
    path = Path(name)
    return read_log(path) if is_regular_file(path) else [read_last_run(_log_by_name(name), name)]


def _read_run(folder: Path, plugins: Plugins, options: Mapping[str, Any]) -> Run:
    state = open_checkpoint(folder, plugins, options, without_model=True).training_state
    places = list_log_places(folder, state)
    for place in places:
        if is_regular_file(place):
            return evolve(read_run(place, owner_of_log(folder, state)), name=folder.resolve().name)
    looked = " or ".join(map(str, places))
    what = f"its log is not at {looked}"
    raise UsageError(Problem(str(folder), "", what, "name the log itself", kind="log.missing"))
