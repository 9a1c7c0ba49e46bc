"""Windows as mypt's files meet it, by what Microsoft and Python document of these calls.

* A file that is open or mapped, by any process, is neither renamed, replaced nor removed; a folder
  is not renamed while anything in it is open. CPython opens files without FILE_SHARE_DELETE.
* `os.rename` never replaces anything.
* No folder is opened, so none can be synced; what is synced must be open for writing.
* A file that is mapped is not truncated.
* There are no names of devices, none that end in a dot or a space, or have one of `<>:"|?*`.
* Text that is written without `newline` gets `\\r\\n`.
* `os.kill(pid, 0)` ends the process, or sends it Ctrl-C.
* There are no `fcntl`, `fork`, `sched_getaffinity`, ...; locks are those of `msvcrt`.

Not simulated: names that differ in case only, the length of paths, the console, scanners of viruses
that have a file open for a moment, and the order in which NTFS loses names without power.
"""

import errno
import fcntl
import io
import os
import re
import shutil
import struct
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from types import ModuleType
from unittest import mock

from tests.support.systems.exchange import exchanged, load_as_on
from tests.support.systems.open_files import find_mapped, is_held

SHARING, DENIED, MAPPED, EXISTS, INVALID = 32, 5, 1224, 183, 123
SAID = {
    SHARING: "The process cannot access the file because it is being used by another process",
    DENIED: "Access is denied",
    EXISTS: "Cannot create a file when that file already exists",
    INVALID: "The filename, directory name, or volume label syntax is incorrect",
    MAPPED: "The requested operation cannot be performed on a file with a user-mapped section open",
}
_NUMBERS = {SHARING: errno.EACCES, DENIED: errno.EACCES, EXISTS: errno.EEXIST}
_BAD_NAME = re.compile(
    r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\..*)?|.*[. ]|.*[<>:\"|?*\0-\x1f].*",
    re.DOTALL,
)
# What of `os` is not there; what Python's own modules need on Linux stays.
ABSENT = (
    *("fork", "forkpty", "sched_getaffinity", "getuid", "geteuid", "getgid", "uname", "killpg"),
    *("O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "pread", "pwrite", "mkfifo", "chown", "nice"),
)
# Every point where the others may be looked at is one of these.
CALLS = ("open", "replace", "rename", "unlink", "remove", "rmdir", "mkdir", "truncate", "kill")


def failure(number, *paths):
    """Make the error that Python raises of a number of Windows."""
    code = _NUMBERS.get(number, errno.EINVAL)
    names = [os.fspath(path) for path in paths]
    error = OSError(code, SAID[number], names[0], None, *names[1:])
    error.number = number  # `winerror` is Windows' own
    return error


def check_name(path):
    """Raise for a path that Windows cannot have."""
    for part in PurePath(os.fsdecode(path)).parts:
        if _BAD_NAME.fullmatch(part) and part not in (".", ".."):
            raise failure(INVALID, path)


class Calls:
    """The functions of `os` and `io` as they are on Windows."""

    def __init__(self, others):
        self.real = {name: getattr(os, name) for name in (*CALLS, "fsync")}
        self.real_open = io.open
        self.pids = ("self", *others)

    def _check_free(self, number, path, *more):
        if is_held(path, self.pids):
            raise failure(number, path, *more)

    def open(self, path, flags, mode=0o777, **options):
        assert not options, "there is no dir_fd"
        check_name(path)
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        if flags & os.O_TRUNC:
            self._check_unmapped(path)
        return self.real["open"](path, flags, mode)

    def open_stream(
        self, file, mode="r", buffering=-1, encoding=None, errors=None, *more, **options
    ):
        if not isinstance(file, int):
            check_name(file)
            if "w" in mode:
                self._check_unmapped(file)
        newline = more[0] if more else options.pop("newline", None)
        if newline is None and "b" not in mode and "r" not in mode:
            newline = "\r\n"
        how = (mode, buffering, encoding, errors, newline, *more[1:])
        return self.real_open(file, *how, **options)

    def _check_unmapped(self, path):
        if str(Path(path).resolve()) in find_mapped(self.pids):
            raise failure(MAPPED, path)

    def replace(self, old, new):
        check_name(new)
        self._check_free(SHARING, old, new)
        if os.path.lexists(new):
            if Path(new).is_dir():
                raise failure(DENIED, old, new)
            self._check_free(DENIED, new)
        self.real["replace"](old, new)

    def rename(self, old, new):
        check_name(new)
        self._check_free(DENIED if Path(old).is_dir() else SHARING, old, new)
        if os.path.lexists(new) and not Path(old).samefile(new):
            raise failure(EXISTS, old, new)
        self.real["rename"](old, new)

    def unlink(self, path, **options):
        assert not options, "there is no dir_fd"
        if Path(path).is_dir() and not Path(path).is_symlink():
            raise failure(DENIED, path)
        self._check_free(SHARING, path)
        self.real["unlink"](path)

    remove = unlink

    def rmdir(self, path, **options):
        assert not options, "there is no dir_fd"
        self.real["rmdir"](path)

    def mkdir(self, path, *more, **options):
        check_name(path)
        self.real["mkdir"](path, *more, **options)

    def truncate(self, path, length):
        if not isinstance(path, int):
            self._check_unmapped(path)
        self.real["truncate"](path, length)

    def fsync(self, descriptor):
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if access == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self.real["fsync"](descriptor)

    def kill(self, pid, number):
        assert number not in (0, 1), f"this would end process {pid}, or send it Ctrl-C"
        self.real["kill"](pid, number)


def _lock_byte(descriptor, mode, size):
    """Lock from where the file stands, for this opened file alone, as LockFile does."""
    assert mode == MSVCRT.LK_NBLCK
    begin = os.lseek(descriptor, 0, os.SEEK_CUR)
    assert begin > os.fstat(descriptor).st_size, "others could not read who holds it"
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, begin, size, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


MSVCRT = ModuleType("msvcrt")
MSVCRT.LK_NBLCK, MSVCRT.locking = 2, _lock_byte
MODULES = {"msvcrt": MSVCRT, "fcntl": None, "readline": None, "termios": None}


@contextmanager
def on_windows(*others):
    """Be on Windows, in a process that ends soon: torch and Python stay those of Linux.

    Args:
        *others: Processes whose open and mapped files count besides this one's.
    """
    calls = Calls(others)
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(exchanged(load_as_on("win32", MODULES)))
        enter(mock.patch.dict(sys.modules, MODULES))
        enter(mock.patch.object(shutil, "_use_fd_functions", False))
        if hasattr(shutil, "_rmtree_impl"):  # in its place, from Python 3.14 on
            enter(mock.patch.object(shutil, "_rmtree_impl", shutil._rmtree_unsafe))
        for name in (*CALLS, "fsync"):
            enter(mock.patch.object(os, name, getattr(calls, name)))
        for name in ABSENT:
            stack.callback(setattr, os, name, getattr(os, name))
            delattr(os, name)
        enter(mock.patch.object(io, "open", calls.open_stream))
        enter(mock.patch("builtins.open", calls.open_stream))
        yield
