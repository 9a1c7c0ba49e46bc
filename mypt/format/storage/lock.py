"""One writer at a time: a lock on a bundle or a log that is released when its process ends.

On a file system without locks, `no_lock` goes on without one; where there are locks it changes
nothing. `filelock` would leave its file in the bundle; see `docs/explanation/by-hand.md`.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from attrs import frozen

from mypt.format.errors import LockedError, Problem, SaveError
from mypt.format.storage.operating_system import has_name, release_lock, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_FILE = ".mypt.lock"
MAX_NOTE_BYTES = 4096
# Errors of file systems without locks, such as some network, FUSE and user-space ones.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


@frozen
class Owner:
    """The process that a lock's file names.

    Attributes:
        pid: Its number.
        host: The machine that it is on.
        since: When it took the lock.
    """

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        """Return it as messages have it."""
        return f"process {self.pid} on {self.host}, since {self.since}"


def parse_owner(note: bytes) -> Owner | None:
    """Return the process that the text of a lock's file names; None if it names none."""
    try:
        owner = json.loads(note)
    except (ValueError, RecursionError):
        return None
    match owner:
        case {"pid": int(pid), "host": str(host), "since": str(since)} if pid > 0:
            return Owner(pid, host, since)
    return None


@contextmanager
def bundle_lock(folder: Path, *, no_lock: bool = False) -> Iterator[str | None]:
    """Hold the lock of a bundle or a data set, a file in its folder; see `file_lock`.

    Args:
        folder: An existing folder.
        no_lock: Whether to go on where the file system has no locks.
    """
    fix = "wait until it ends, or stop it"
    with file_lock(folder / LOCK_FILE, folder, fix=fix, no_lock=no_lock) as warning:
        yield warning


@contextmanager
def file_lock(path: Path, locked: Path, *, fix: str, no_lock: bool = False) -> Iterator[str | None]:
    """Hold a lock.

    It is an operating system lock on a file of its own, so it ends with its process, however that
    ends; a file that a dead process left behind is simply taken over. The file's text names the
    holder.

    Args:
        path: The file, in an existing folder; removed when the lock is released.
        locked: What nobody else may write meanwhile, for the message.
        fix: What to do if it is held.
        no_lock: Whether to go on where the file system has no locks. The file is still written
            there, and names who writes, but keeps nobody away.

    Yields:
        What to warn the user of where there is no lock; None where it is held.

    Raises:
        LockedError: Another process, or another part of this one, holds it.
        SaveError: The file system has no locks.
        OSError: The file cannot be written.
    """
    descriptor, warning = _acquire_lock(path, locked, fix, no_lock=no_lock)
    try:
        _write_owner(descriptor)
        yield warning
    finally:
        release_lock(path, descriptor)


def _acquire_lock(path: Path, locked: Path, fix: str, *, no_lock: bool) -> tuple[int, str | None]:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            try:
                is_held = try_lock(descriptor)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                note = os.read(descriptor, MAX_NOTE_BYTES)
                if no_lock:
                    return descriptor, _make_warning(locked, note)
                if not note:  # the file is ours
                    path.unlink(missing_ok=True)
                _raise_no_locks(locked, error)
            if not is_held:
                _raise_locked(locked, os.read(descriptor, MAX_NOTE_BYTES), fix)
            if has_name(path, descriptor):
                return descriptor, None
        except BaseException:
            os.close(descriptor)
            raise
        # The previous holder removed the file after we opened it and before we locked it.
        os.close(descriptor)


def _write_owner(descriptor: int) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)  # the note of the one before may have been read
    os.write(descriptor, json.dumps(owner).encode() + b"\n")


def _raise_locked(locked: Path, note: bytes, fix: str) -> NoReturn:
    # One that holds the lock may not have written its note yet.
    who = parse_owner(note) or "another process"
    raise LockedError(Problem(str(locked), "", f"is being written by {who}", fix, kind="locked"))


def _raise_no_locks(locked: Path, error: OSError) -> NoReturn:
    what = (
        f"is on a file system without locks ({error.strerror}), so that nothing keeps two runs "
        "from writing there at once and destroying each other's files"
    )
    fix = (
        "choose a place on another one; or make sure that nothing else writes there, and pass "
        "--no_lock (in Python: no_lock=True)"
    )
    raise SaveError(Problem(str(locked), "", what, fix, kind="save.no_locks"))


def _make_warning(locked: Path, note: bytes) -> str:
    warning = f"{locked}: written without a lock, which its file system lacks: nothing else may "
    warning += "write there meanwhile"
    who = parse_owner(note)
    return f"{warning}; {who}, did not say that it ended" if who else warning
