"""Remove a bundle so that it is either complete or gone at every instant."""

from __future__ import annotations

import glob
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mypt.format.errors import Problem, SaveError
from mypt.format.storage.commit import clean_up, open_for_writing
from mypt.format.storage.files import MANIFEST, beside, is_present
from mypt.format.storage.generations import read_manifest
from mypt.format.storage.lock import LOCK_FILE
from mypt.format.storage.operating_system import LOCK_STAYS, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REMOVED = ".mypt-removed"


def remove_bundle(folder: Path, *, no_lock: bool = False) -> bool:
    """Remove a bundle; a folder that holds anything else too is left as it is.

    The folder is first renamed to a hidden name, which is atomic on disk. A process that dies
    while deleting the files leaves that folder behind, and `sweep_removed` deletes it.

    Args:
        folder: The bundle.
        no_lock: Whether to remove it also where the file system has no locks.

    Returns:
        Whether it was removed. A link to a folder is left as it is too.

    Raises:
        SaveError: It could not be removed, or its file system has no locks.
        LockedError: Another process is writing to it.
        FormatError: Its manifest is damaged.
    """
    if folder.is_symlink():
        return False  # the user keeps it elsewhere
    removed = beside(folder, f".{{}}{_REMOVED}")
    with _raising_save_errors(folder):
        with open_for_writing(folder, no_lock=no_lock):
            if not _holds_only_bundle(folder):
                return False
            if is_present(removed):
                _delete(removed)
            if not LOCK_STAYS:
                folder.rename(removed)
        if LOCK_STAYS:
            folder.rename(removed)
        sync_folder(folder.parent)
        _delete(removed)
    return True


def _holds_only_bundle(folder: Path) -> bool:
    """Return whether a locked folder holds a bundle and nothing else, after cleaning it up."""
    manifest = read_manifest(folder)
    clean_up(folder, manifest)
    ours = {LOCK_FILE, MANIFEST, *(manifest.files if manifest else ())}
    return manifest is not None and all(path.name in ours for path in folder.iterdir())


def _delete(removed: Path) -> None:
    with _raising_save_errors(removed):  # which is what is still there
        _delete_for_good(removed)


def _delete_for_good(removed: Path) -> None:
    shutil.rmtree(removed)
    with suppress(OSError):  # it is gone: that of the next save tells of the disk
        sync_folder(removed.parent)  # what a loss of power brought back, no later one would remove


@contextmanager
def _raising_save_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"could not be removed: {error.strerror or error}"
        fix = "the next save tries again, or remove it by hand"
        raise SaveError(Problem(str(folder), "", what, fix, kind="remove")) from error


def sweep_removed(parent: Path, name: str) -> None:
    """Delete what interrupted removals left of bundles whose names begin with `name`."""
    for left in parent.glob(f".{glob.escape(name)}*{_REMOVED}"):
        with suppress(OSError):  # the next call retries
            _delete_for_good(left)
