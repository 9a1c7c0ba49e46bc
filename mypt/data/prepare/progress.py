"""Record the progress of a preparation, so that it can be resumed after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.data.metadata import PROGRESS_FILE, DataFile
from mypt.format.errors import DataError, FormatError, Problem
from mypt.format.schema import strict_json
from mypt.format.storage.atomic_file import write_atomically
from mypt.format.storage.files import is_present

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


# What people call the settings that are named otherwise than their flags.
_NAMES = {
    "inputs_sha256": "the inputs",
    "val_inputs_sha256": "the files to validate on",
    "tokenizer_sha256": "the tokenizer",
    "tokenizer_options": "the options of the tokenizer",
    "wanted_dtype": "dtype",
}


@frozen
class Position:
    """Where the next shard begins.

    Attributes:
        segment: Index of the segment.
        start: Offset of the first byte of a piece of it; None for the segment's first piece.
        ids_done: Number of ids of that piece that are already in shards.
    """

    segment: int = 0
    start: int | None = None
    ids_done: int = 0

    @property
    def piece(self) -> tuple[int, int | None]:
        """Segment and start of the piece to begin reading with."""
        return self.segment, self.start


@frozen
class Progress:
    """The shards that are complete, and the position of the next.

    Attributes:
        settings: Everything that must stay the same for the work to be resumed.
        files: The complete shards.
        position: Where the next shard begins.
    """

    settings: Mapping[str, Any]
    files: tuple[DataFile, ...] = ()
    position: Position = Position()

    def save(self, folder: Path) -> None:
        """Write the progress file, replacing the previous one."""
        place = self.position
        document = {
            "settings": self.settings,
            "position": [place.segment, place.start, place.ids_done],
            "files": [file.document() for file in self.files],
        }
        write_atomically(folder / PROGRESS_FILE, strict_json.dump(document))


def load_progress(folder: Path, settings: Mapping[str, Any]) -> Progress | None:
    """Return the recorded progress, or None if there is none.

    Raises:
        DataError: The inputs or settings differ, or a shard has changed.
    """
    path = folder / PROGRESS_FILE
    if not is_present(path):
        return None
    try:
        document = strict_json.parse(path.read_bytes(), str(path))
        files = tuple(DataFile(**file) for file in document["files"])
        progress = Progress(document["settings"], files, Position(*document["position"]))
    except (FormatError, KeyError, TypeError) as error:
        what = f"has a damaged progress file ({PROGRESS_FILE})"
        raise _make_changed_error(folder, what) from error
    check_same_settings(folder, progress.settings, settings)
    for file in files:
        if not file.is_unchanged(folder):
            raise _make_changed_error(folder, f"{file.name} has changed since it was written")
    return progress


def check_same_settings(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that the inputs and settings have not changed.

    Raises:
        DataError: At least one differs.
    """
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        names = ", ".join(_NAMES.get(name, name) for name in changed)
        raise _make_changed_error(folder, f"was prepared differently: {names} changed since")


def _make_changed_error(folder: Path, what: str) -> DataError:
    fix = "remove the folder to start over, or name another one"
    return DataError(Problem(str(folder), "", what, fix, kind="data.changed"))
