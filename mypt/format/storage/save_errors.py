"""Errors of the system while something is written, with the path and what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mypt.format.errors import Problem, SaveError
from mypt.format.storage.files import is_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIXES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space within your quota",
    errno.EACCES: "give yourself permission to write there",
    errno.EPERM: "give yourself permission to write there",
    errno.EROFS: "choose a place that can be written",
    errno.EIO: "check that disk",
}
# What the system says where a part of the path is no folder: none of it says which, or why.
_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOENT, errno.ENOTDIR})
_AGAIN = ", then run the same command again"


def make_save_error(path: Path, error: OSError, more: str = _AGAIN) -> SaveError:
    """Make the error of something that could not be written.

    Args:
        path: What was to be written.
        error: What the system said.
        more: The end of what the user is told to do about it.
    """
    reason = error.strerror or error
    fix = _FIXES.get(error.errno or 0, "check that place and its disk")
    if error.errno in _IN_THE_WAY:
        on_the_way = [*reversed(path.parents)]
        on_the_way += [] if error.errno == errno.ENOENT else [path]  # that may be a file
        reason, fix = next(filter(None, map(explain_no_folder, on_the_way)), (reason, fix))
    what = f"could not be written: {reason}"
    return SaveError(Problem(str(path), "", what, f"{fix}{more}", kind="save"))


def explain_no_folder(place: Path) -> tuple[str, str] | None:
    """Return why nothing can be in what should be a folder, and what to do.

    Returns:
        None if it is a folder, or if nothing is there yet.
    """
    with suppress(OSError):  # which is another reason
        if not is_folder(place) and os.path.lexists(place):
            return _explain_no_folder(place)
    return None


def _explain_no_folder(place: Path) -> tuple[str, str]:
    if not place.is_symlink():
        return f"{place} is a file, where a folder has to be", "rename that file"
    what = f"{place} is a link to {place.readlink()}, where there is no folder"
    return what, "make that folder, or mount its disk"


@contextmanager
def raising_save_errors(path: Path) -> Iterator[None]:
    """Raise errors of the system as those of something that could not be written.

    Args:
        path: What is written inside; nothing else may fail there.

    Raises:
        SaveError: It could not be written.
    """
    try:
        yield
    except OSError as error:
        raise make_save_error(path, error) from error
