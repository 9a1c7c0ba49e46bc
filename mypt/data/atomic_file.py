"""Files that are either whole or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mypt.format.storage.fsync import sync_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL = ".partial"


def partial(path: Path) -> Path:
    """Give the name under which a file is written before it is whole."""
    return path.with_name(path.name + PARTIAL)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, replacing the one before it, so that a crash leaves one of the two."""
    with partial(path).open("wb") as stream:
        stream.write(data)
        settle(stream)
    put_in_place(path)


def settle(stream: BinaryIO) -> None:
    """Bring what was written to the disk."""
    stream.flush()
    sync_file(stream.fileno())


def put_in_place(path: Path) -> None:
    """Give a settled partial file its name."""
    partial(path).replace(path)
    sync_folder(path.parent)
