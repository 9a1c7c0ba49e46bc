"""Remove a bundle so that at every instant it is either whole or gone."""

from __future__ import annotations

import glob
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mypt.format.errors import Problem, SaveError
from mypt.format.storage.commit import clean_up, open_for_writing
from mypt.format.storage.files import MANIFEST
from mypt.format.storage.fsync import sync_folder
from mypt.format.storage.generations import read_manifest
from mypt.format.storage.lock import LOCK_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REMOVED = ".mypt-removed"
# Elsewhere the lock goes with the folder, so that nobody can take it in between.
_LOCK_STAYS = os.name == "nt"  # it renames no folder in which a file is open


def remove_bundle(folder: Path) -> bool:
    """Remove a bundle; one that holds anything else too is left as it is.

    The folder takes a hidden name first, which is one step to the disk. A process that dies while
    it deletes the files leaves that folder, and `sweep_removed` deletes it.

    Args:
        folder: The bundle.

    Returns:
        Whether it is gone. A link to a folder is left as it is too.

    Raises:
        SaveError: It could not be removed.
        LockedError: Another process writes to it.
        FormatError: Its manifest is damaged.
    """
    if folder.is_symlink():
        return False  # somebody keeps it elsewhere
    removed = folder.with_name(f".{folder.name}{_REMOVED}")
    with _raising_save_errors(folder):
        with open_for_writing(folder):
            if not _holds_only_bundle(folder):
                return False
            if removed.exists():
                shutil.rmtree(removed)
            if not _LOCK_STAYS:
                folder.rename(removed)
        if _LOCK_STAYS:
            folder.rename(removed)
        sync_folder(folder.parent)
        shutil.rmtree(removed)
    return True


def _holds_only_bundle(folder: Path) -> bool:
    """Tell whether a locked folder holds a bundle and nothing else, once it is tidied."""
    manifest = read_manifest(folder)
    clean_up(folder, manifest)
    ours = {LOCK_FILE, MANIFEST, *(manifest.files if manifest else ())}
    return manifest is not None and all(path.name in ours for path in folder.iterdir())


@contextmanager
def _raising_save_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what, fix = f"could not be removed: {error.strerror or error}", "remove it yourself"
        raise SaveError(Problem(str(folder), "", what, fix, kind="remove")) from error


def sweep_removed(parent: Path, name: str) -> None:
    """Delete what killed removals left of bundles whose names begin with `name`."""
    for left in parent.glob(f".{glob.escape(name)}*{_REMOVED}"):
        with suppress(OSError):  # the next time will do
            shutil.rmtree(left)
