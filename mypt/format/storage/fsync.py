"""Bring what was written to the disk itself, as each system wants it asked for."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What file systems answer (some of a network, some of FUSE) that cannot sync a folder.
_NO_FOLDERS = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})

if sys.platform == "darwin":
    import fcntl

    def sync_file(descriptor: int) -> None:
        """Bring an open file to the disk; `fsync` alone leaves it in the memory of the drive."""
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:  # a file system that does not know it, as some of a network
            os.fsync(descriptor)

else:

    def sync_file(descriptor: int) -> None:
        """Bring an open file to the disk."""
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; Windows and some file systems do it by themselves.

    Raises:
        OSError: The disk does not take them.
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
