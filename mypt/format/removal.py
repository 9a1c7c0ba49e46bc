"""Remove a bundle so that at every instant it is either whole or gone."""

from __future__ import annotations

import glob
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from mypt.format.commit import open_for_writing, sync_folder, tidy
from mypt.format.errors import Problem, SaveError
from mypt.format.files import MANIFEST
from mypt.format.generations import read_manifest
from mypt.format.lock import LOCK_FILE

if TYPE_CHECKING:
    from pathlib import Path

_REMOVED = ".mypt-removed"


def remove_bundle(folder: Path) -> bool:
    """Remove a bundle; one that holds anything else too is left as it is.

    The folder takes a hidden name first, which is one step to the disk. A process that dies while
    it deletes the files leaves that folder, and `sweep_removed` deletes it.

    Args:
        folder: The bundle.

    Returns:
        Whether it is gone.

    Raises:
        SaveError: It could not be removed.
        LockedError: Another process writes to it.
        FormatError: Its manifest is damaged.
    """
    with open_for_writing(folder):
        manifest = read_manifest(folder)
        tidy(folder, manifest)
        ours = {LOCK_FILE, MANIFEST, *(manifest.files if manifest else ())}
        if manifest is None or any(path.name not in ours for path in folder.iterdir()):
            return False
    removed = folder.with_name(f".{folder.name}{_REMOVED}")
    try:
        if removed.exists():
            shutil.rmtree(removed)
        folder.rename(removed)
        sync_folder(folder.parent)
        shutil.rmtree(removed)
    except OSError as error:
        what, fix = f"could not be removed: {error.strerror or error}", "remove it yourself"
        raise SaveError(Problem(str(folder), "", what, fix, kind="remove")) from error
    return True


def sweep_removed(parent: Path, name: str) -> None:
    """Delete what killed removals left of bundles whose names begin with `name`."""
    for left in parent.glob(f".{glob.escape(name)}*{_REMOVED}"):
        with suppress(OSError):  # the next time will do
            shutil.rmtree(left)
