"""Put a finished folder in the place of another one, which is set aside and never deleted.

The new folder is complete under a hidden name before the old one is touched. Then two renames
follow each other: of the old folder to a free name, and of the new one to the name of the old. A
process that dies between them leaves no folder of that name, and `finish_succession` renames the
new one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.files import MANIFEST, beside, is_regular_file
from mypt.format.storage.lock import LOCK_FILE
from mypt.format.storage.operating_system import LOCK_STAYS, sync_folder
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ASIDE = "damaged"


def successor_path(folder: Path) -> Path:
    """Return where the successor of a folder is made."""
    return beside(folder, ".{}.mypt-successor")


def find_aside(folder: Path) -> list[Path]:
    """Return the folders that were set aside of one, in the order in which they were."""
    found, place = [], _aside_path(folder, 1)
    while os.path.lexists(place):
        found.append(place)
        place = _aside_path(folder, len(found) + 1)
    return found


def _aside_path(folder: Path, number: int) -> Path:
    return beside(folder, f"{{}}_{_ASIDE}{'' if number == 1 else number}")


def set_aside(
    folder: Path,
    check: Callable[[], None] = lambda: None,
    then: Callable[[], None] = lambda: None,
    *,
    no_lock: bool = False,
) -> Path:
    """Rename a folder to a free name, such as `cat_damaged`, and return that.

    Args:
        folder: The folder, whatever it holds.
        check: Called while its lock is held; if it raises, nothing is renamed.
        then: Called when the name is free; if it raises, the folder has its name again.
        no_lock: Whether to go on where the file system has no locks.

    Raises:
        LockedError: Another process is writing to it.
        SaveError: It could not be renamed.
    """
    aside = _aside_path(folder, len(find_aside(folder)) + 1)

    def move() -> None:
        with raising_save_errors(folder):
            folder.rename(aside)
            try:
                sync_folder(folder.parent)
                then()
            except BaseException:
                with suppress(OSError):
                    aside.rename(folder)
                raise

    with open_for_writing(folder, no_lock=no_lock):
        check()
        if not LOCK_STAYS:
            move()
            with suppress(OSError):
                (aside / LOCK_FILE).unlink(missing_ok=True)
    if LOCK_STAYS:
        move()
    return aside


def take_place(folder: Path) -> None:
    """Rename the successor of a folder to its name, which nothing has.

    Raises:
        OSError: It could not be renamed.
    """
    successor_path(folder).rename(folder)
    sync_folder(folder.parent)


def is_interrupted(folder: Path) -> bool:
    """Return whether a process died after it had set a folder aside, before the successor came."""
    return not os.path.lexists(folder) and is_regular_file(successor_path(folder) / MANIFEST)


def finish_succession(folder: Path) -> bool:
    """Finish what a process had begun that died between the two renames; return whether one had.

    Raises:
        SaveError: The successor could not be renamed.
    """
    if not is_interrupted(folder):
        return False
    with raising_save_errors(folder):
        take_place(folder)
    return True
