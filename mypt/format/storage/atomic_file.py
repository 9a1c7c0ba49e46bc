"""Write files and folders atomically: each is complete or absent."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from mypt.format.errors import LockedError
from mypt.format.storage.files import beside, is_folder
from mypt.format.storage.lock import LOCK_FILE, file_lock
from mypt.format.storage.operating_system import replace_file, sync_file, sync_folder
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@contextmanager
def open_workplace(target: Path, suffix: str) -> Iterator[Path]:
    """Hold an empty folder beside a target, which is made there before it gets its name.

    What a killed process has left there is removed. Where the file system has no locks, nothing
    keeps two processes from making the same target at once.

    Args:
        target: Where what is made goes.
        suffix: Ends the name of the folder.

    Raises:
        LockedError: Another process makes the same target.
        OSError: The folder cannot be made, or what is left there not removed.
    """
    work = _workplace_path(target, suffix)
    fix = "wait until it ends, or name another place"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with file_lock(work / LOCK_FILE, target, fix=fix, no_lock=True):
            try:
                _empty(work)
                yield work
            finally:
                _empty(work)
    finally:
        with suppress(OSError):  # another process is at work there
            work.rmdir()


def remove_leftover(target: Path, suffix: str) -> None:
    """Remove the workplace that a killed process has left; one that is in use stays.

    A process that is killed right after what it made got its name leaves one beside that, which no
    later process takes over, since they refuse a target that is there.
    """
    if is_folder(_workplace_path(target, suffix)):
        with suppress(LockedError, OSError), open_workplace(target, suffix):
            pass  # to hold it empties it, and to leave it removes it


def _workplace_path(target: Path, suffix: str) -> Path:
    return beside(target, f".{{}}.{suffix}")


def _empty(work: Path) -> None:
    for path in work.iterdir():
        if is_folder(path) and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()
