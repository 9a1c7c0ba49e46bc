"""What operating systems do each in their own way with files, locks and processes.

Whatever of the format differs between Linux, macOS and Windows is here, so that the tests can take
another system's half of it: see `tests/support/systems`.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

# Errors of file systems that cannot sync a folder, such as some network and FUSE ones.
_NO_FOLDERS = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})


if sys.platform == "win32":
    import msvcrt

    # Windows cannot rename a folder in which a file is open, so a lock is released first there.
    # Elsewhere it moves with its folder, so that nobody can take it in between.
    LOCK_STAYS = True
    # It keeps others from reading locked bytes: one beyond the text is locked.
    _FAR = 1 << 30
    # It cannot replace a file that is open, and a reader holds a manifest open for a moment.
    _PAUSES_S = (0.01, 0.1, 1.0)

    def sync_file(descriptor: int) -> None:
        """Flush an open file to disk."""
        os.fsync(descriptor)

    def sync_folder(folder: Path) -> None:
        """Do nothing: the system keeps the order of names itself, and opens no folder."""

    def replace_file(waiting: Path, path: Path) -> None:
        """Give a file the name of another one, waiting where readers have the old one open.

        Raises:
            OSError: It could not be renamed.
        """
        for pause_s in _PAUSES_S:
            try:
                waiting.replace(path)
            except PermissionError:
                time.sleep(pause_s)
            else:
                return
        waiting.replace(path)

    def try_lock(descriptor: int) -> bool:
        """Lock an open file unless another opened one holds its lock; return whether it is held."""
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def has_name(path: Path, descriptor: int) -> bool:  # noqa: ARG001 - as elsewhere
        """Return whether an open file still has its name; here nobody can take it away."""
        return True

    def release_lock(path: Path, descriptor: int) -> None:
        """Close a locked file and remove it."""
        with suppress(OSError):
            os.close(descriptor)
        with suppress(OSError):  # the next writer has it open already
            path.unlink()

    def is_running(pid: int) -> bool:  # noqa: ARG001 - as elsewhere
        """Return true, since it cannot be seen: a signal 0 would end the process."""
        return True

else:
    import fcntl

    LOCK_STAYS = False

    if sys.platform == "darwin":
        # Errors of file systems without it, such as some network ones.
        _NO_FULL_SYNC = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY})

        def sync_file(descriptor: int) -> None:
            """Flush an open file to disk; `fsync` alone leaves it in the drive's cache."""
            try:
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            except OSError as error:
                if error.errno not in _NO_FULL_SYNC:
                    raise
                os.fsync(descriptor)

    else:

        def sync_file(descriptor: int) -> None:
            """Flush an open file to disk."""
            os.fsync(descriptor)

    def sync_folder(folder: Path) -> None:
        """Flush the names in a folder to disk; some file systems do so themselves.

        Raises:
            OSError: The disk reports a failure.
        """
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync_file(descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDERS:
                raise
        finally:
            os.close(descriptor)

    def replace_file(waiting: Path, path: Path) -> None:
        """Give a file the name of another one.

        Raises:
            OSError: It could not be renamed.
        """
        waiting.replace(path)

    def try_lock(descriptor: int) -> bool:
        """Lock an open file unless another opened one holds its lock; return whether it is held."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def has_name(path: Path, descriptor: int) -> bool:
        """Return whether an open file still has its name."""
        try:
            return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def release_lock(path: Path, descriptor: int) -> None:
        """Remove a locked file and close it."""
        with suppress(OSError):  # a file that stays is taken over by the next writer
            if has_name(path, descriptor):  # not so if the folder was moved
                path.unlink()
        with suppress(OSError):  # there is no data that could be lost
            os.close(descriptor)

    def is_running(pid: int) -> bool:
        """Return whether a process of this machine runs; true where that cannot be seen."""
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):  # no number of a process is so large
            return False
        except OSError:
            pass
        return not _has_ended(pid)

    def _has_ended(pid: int) -> bool:
        """Return whether a process is there only until its parent asks how it ended.

        In a container whose first process asks nobody, that is for ever.
        """
        try:
            states = [file.read_bytes() for file in Path("/proc", str(pid), "task").glob("*/stat")]
        except OSError:  # it is just ending
            return False
        ended = [state.rpartition(b")")[2].lstrip()[:1] in (b"Z", b"X") for state in states]
        return bool(ended) and all(ended)  # none is seen on macOS


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
