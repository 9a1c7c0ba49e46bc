"""Flush files and folders to the disk itself, on each operating system."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Errors of file systems that cannot sync a folder, such as some network and FUSE ones.
_NO_FOLDERS = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})

if sys.platform == "darwin":
    import fcntl

    def sync_file(descriptor: int) -> None:
        """Flush an open file to disk; `fsync` alone leaves it in the drive's cache."""
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:  # a file system without it, such as some network ones
            os.fsync(descriptor)

else:

    def sync_file(descriptor: int) -> None:
        """Flush an open file to disk."""
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk; Windows and some file systems do so themselves.

    Raises:
        OSError: The disk reports a failure.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync_file(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Flush a file, or a folder with all that is in it, to disk.

    Raises:
        OSError: The disk reports a failure.
    """
    if path.is_dir():
        for inside in path.iterdir():
            sync_tree(inside)
        sync_folder(path)
        return
    with path.open("r+b") as stream:
        sync_file(stream.fileno())
