"""One writer at a time: a lock on a bundle or a log that is released when its process ends.

`filelock` would leave its file in the bundle; see `docs/explanation/by-hand.md`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from mypt.format.errors import LockedError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_FILE = ".mypt.lock"
_MAX_NOTE_BYTES = 4096


@contextmanager
def bundle_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a bundle, a file in its folder; see `file_lock`.

    Args:
        folder: The bundle, an existing folder.

    Raises:
        LockedError: Another process, or another part of this one, holds it.
        OSError: The folder cannot be written, or its file system does not support locks.
    """
    with file_lock(folder / LOCK_FILE, folder, fix="wait until it ends, or stop it"):
        yield


@contextmanager
def file_lock(path: Path, locked: Path, *, fix: str) -> Iterator[None]:
    """Hold a lock.

    It is an operating system lock on a file of its own, so it ends with its process, however that
    ends; a file that a dead process left behind is simply taken over. The file's text names the
    holder.

    Args:
        path: The file, in an existing folder; removed when the lock is released.
        locked: What nobody else may write meanwhile, for the message.
        fix: What to do if it is held.

    Raises:
        LockedError: Another process, or another part of this one, holds it.
        OSError: The file cannot be written, or its file system does not support locks.
    """
    descriptor = _acquire_lock(path, locked, fix)
    try:
        _write_owner(descriptor)
        yield
    finally:
        _release_lock(path, descriptor)


def _acquire_lock(path: Path, locked: Path, fix: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            if not _try_lock(descriptor):
                _raise_locked(locked, os.read(descriptor, _MAX_NOTE_BYTES), fix)
            if _is_same_file(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The previous holder removed the file after we opened it and before we locked it.
        os.close(descriptor)


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(owner).encode() + b"\n")


def _raise_locked(locked: Path, note: bytes, fix: str) -> NoReturn:
    try:
        owner = json.loads(note)
        who = f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (ValueError, TypeError, KeyError):  # it holds the lock but has not written its note yet
        who = "another process"
    raise LockedError(Problem(str(locked), "", f"is being written by {who}", fix, kind="locked"))


if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading locked bytes: lock one beyond the text.
    _FAR = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _release_lock(path: Path, descriptor: int) -> None:
        with suppress(OSError):
            os.close(descriptor)
        with suppress(OSError):  # the next writer has it open already
            path.unlink()

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release_lock(path: Path, descriptor: int) -> None:
        with suppress(OSError):  # a file that stays is taken over by the next writer
            if _is_same_file(path, descriptor):  # not so if the folder was moved
                path.unlink()
        with suppress(OSError):  # there is no data that could be lost
            os.close(descriptor)
