"""The copies of a model that may serve in its place, and naming the newest that is whole."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mypt.engine.checkpoints.copies import find_numbered_folders
from mypt.engine.checkpoints.recovery.condition import (
    DAMAGED,
    are_damage,
    examine_condition,
    read_recorded_state,
    step_of,
)
from mypt.format.bundle.copy_name import SINGLE, CopyKind
from mypt.format.errors import FormatError, Problem
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypt.plugins.manager import Plugins


def list_candidates(folder: Path, kinds: tuple[CopyKind, ...] = (CopyKind.GOLD,)) -> list[Path]:
    """List the copies of a model, the newest step first: the numbered ones, and of other kinds.

    Those of another run are left out. Where the model no longer tells which its run is, that of
    the copy that was written last counts.

    Args:
        folder: The model; it may be missing.
        kinds: The other kinds of copies.
    """
    if not files.is_folder(folder.parent):
        return []
    places = [*find_numbered_folders(folder).values(), *(kind.path(folder) for kind in kinds)]
    states = {path: read_recorded_state(path) for path in places if files.is_folder(path)}
    run = read_recorded_state(folder).get("run_id")
    own = {path: state for path, state in states.items() if _is_copy(state, folder, run)}
    if run is None and own:
        run = own[max(own, key=_find_time)].get("run_id")
    of_run = [path for path, state in own.items() if state.get("run_id") in (run, None)]
    return sorted(of_run, key=lambda path: -step_of(own[path]))  # of one step, numbered first


@contextmanager
def naming_copies(folder: Path, plugins: Plugins) -> Iterator[None]:
    """Add to the error of a damaged model which of its copies is the newest whole one.

    Args:
        folder: The model, opened inside for inference.
        plugins: Where parts are looked up.
    """
    try:
        yield
    except FormatError as error:
        if not files.is_folder(folder) or not are_damage(error.problems):
            raise
        for path in list_candidates(folder, SINGLE):
            copy = examine_condition(path, plugins)
            if copy.can_generate and not copy.damage:
                what = f"is damaged; its newest copy that is whole is {path}, at step {copy.step}"
                fix = f"use that; what else there is: mypt doctor {folder.name}"
                more = Problem(str(folder), "", what, fix, kind=DAMAGED)
                raise FormatError(*error.problems, more) from error
        raise


def _is_copy(state: Mapping[str, Any], folder: Path, run: object) -> bool:
    model = state.get("copy_of")
    is_of_run = run is not None and state.get("run_id") == run
    return model is not None and (model == folder.name or is_of_run)


def _find_time(path: Path) -> float:
    """Return when a copy was saved, in seconds since 1970; 0 where that cannot be seen."""
    try:
        return (path / files.MANIFEST).stat().st_mtime
    except OSError:
        return 0.0
