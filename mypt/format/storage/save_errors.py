"""Errors of the system while something is written, with the path and what to do."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mypt.format.errors import Problem, SaveError

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
_AGAIN = ", then run the same command again"


def make_save_error(path: Path, error: OSError, more: str = _AGAIN) -> SaveError:
    """Make the error of something that could not be written.

    Args:
        path: What was to be written.
        error: What the system said.
        more: The end of what the user is told to do about it.
    """
    what = f"could not be written: {error.strerror or error}"
    fix = _FIXES.get(error.errno or 0, "check that place and its disk")
    return SaveError(Problem(str(path), "", what, f"{fix}{more}", kind="save"))


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
