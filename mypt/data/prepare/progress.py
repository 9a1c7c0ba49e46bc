"""What a preparation has done so far, so that it can be gone on with after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.data.atomic_file import write_atomically
from mypt.data.metadata import DataFile
from mypt.format.errors import DataError, FormatError, Problem
from mypt.format.schema import strict_json as jsonfile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROGRESS_FILE = ".progress.json"


@frozen
class Position:
    """Where the next shard begins.

    Attributes:
        segment: Number of the segment.
        start: The first byte of a piece of it; None for the segment's first.
        ids_done: Ids of that piece that are in shards already.
    """

    segment: int = 0
    start: int | None = None
    ids_done: int = 0

    @property
    def piece(self) -> tuple[int, int | None]:
        """Give the piece to begin reading with."""
        return self.segment, self.start


@frozen
class Progress:
    """The shards that are whole, and what comes next.

    Attributes:
        settings: What must be the same for the work to be gone on with.
        files: The shards.
        position: Where the next one begins.
    """

    settings: Mapping[str, Any]
    files: tuple[DataFile, ...] = ()
    position: Position = Position()

    def save(self, folder: Path) -> None:
        """Replace what was noted before."""
        place = self.position
        document = {
            "settings": self.settings,
            "position": [place.segment, place.start, place.ids_done],
            "files": [file.document() for file in self.files],
        }
        write_atomically(folder / PROGRESS_FILE, jsonfile.dump(document))


def load_progress(folder: Path, settings: Mapping[str, Any]) -> Progress | None:
    """Give what was done before; None if nothing was.

    Raises:
        DataError: It was done with other inputs or settings, or its shards are not what they were.
    """
    path = folder / PROGRESS_FILE
    if not path.exists():
        return None
    try:
        document = jsonfile.parse(path.read_bytes(), str(path))
        files = tuple(DataFile(**file) for file in document["files"])
        progress = Progress(document["settings"], files, Position(*document["position"]))
    except (FormatError, KeyError, TypeError) as error:
        raise _make_changed_error(folder, "holds a preparation whose record is damaged") from error
    check_same_settings(folder, progress.settings, settings)
    for file in files:
        if not file.is_unchanged(folder):
            raise _make_changed_error(folder, f"{file.name} was changed since it was written")
    return progress


def check_same_settings(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with what was made of other inputs or with other settings.

    Raises:
        DataError: Something differs.
    """
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        names = ", ".join("the inputs" if n == "inputs_sha256" else n for n in changed)
        raise _make_changed_error(folder, f"was begun otherwise: {names} changed since")


def _make_changed_error(folder: Path, what: str) -> DataError:
    fix = "remove the folder to begin anew, or name another one"
    return DataError(Problem(str(folder), "", what, fix, kind="data.changed"))
