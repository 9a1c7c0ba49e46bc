"""Write files atomically: each is complete or absent."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from mypt.format.storage.operating_system import replace_file, sync_file, sync_folder
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL = ".partial"


def partial_path(path: Path) -> Path:
    """Return the path that a file is written to before it is complete."""
    return path.with_name(path.name + PARTIAL)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file, replacing any previous one; a crash leaves either the old or the new file.

    Raises:
        SaveError: It could not be written; a previous one is intact, and nothing else is left.
    """
    with raising_save_errors(path):
        try:
            with partial_path(path).open("wb") as stream:
                stream.write(data)
                flush_to_disk(stream)
            rename_partial(path)
        except OSError:
            with suppress(OSError):
                partial_path(path).unlink()
            raise


def flush_to_disk(stream: BinaryIO) -> None:
    """Flush what was written and sync it to disk."""
    stream.flush()
    sync_file(stream.fileno())


def rename_partial(path: Path) -> None:
    """Rename a flushed partial file to its final name."""
    replace_file(partial_path(path), path)
    sync_folder(path.parent)
