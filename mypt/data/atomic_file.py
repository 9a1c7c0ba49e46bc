"""Files that are either whole or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mypt.format.storage.fsync import sync_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL = ".partial"


def partial_path(path: Path) -> Path:
    """Give the name under which a file is written before it is whole."""
    return path.with_name(path.name + PARTIAL)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file, replacing the one before it, so that a crash leaves one of the two."""
    with partial_path(path).open("wb") as stream:
        stream.write(data)
        flush_to_disk(stream)
    rename_partial(path)


def flush_to_disk(stream: BinaryIO) -> None:
    """Bring what was written to the disk."""
    stream.flush()
    sync_file(stream.fileno())


def rename_partial(path: Path) -> None:
    """Give a settled partial_path file its name."""
    partial_path(path).replace(path)
    sync_folder(path.parent)
