"""macOS as mypt's files meet it: `fsync` leaves them in the drive's cache."""

import errno
import fcntl
import os
from contextlib import contextmanager
from unittest import mock

from tests.support.systems.exchange import exchanged, load_as_on

F_FULLFSYNC = 51


@contextmanager
def drive_cache(*, has_full_sync=True):
    """Let nothing but F_FULLFSYNC reach the disk through `os.fsync` as it is now.

    Args:
        has_full_sync: Whether the file system has F_FULLFSYNC; `os.fsync` is all there is if not.
    """
    fsync, call = os.fsync, fcntl.fcntl

    def fcntl_there(descriptor, command, *more):
        if command != F_FULLFSYNC:
            return call(descriptor, command, *more)
        if not has_full_sync:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        fsync(descriptor)
        return 0

    with (
        mock.patch.object(fcntl, "F_FULLFSYNC", F_FULLFSYNC, create=True),
        mock.patch.object(fcntl, "fcntl", fcntl_there),
        mock.patch.object(os, "fsync", os.fstat if has_full_sync else fsync),
    ):
        yield


@contextmanager
def on_macos(*, has_full_sync=True):
    """Be on macOS, as far as files are concerned.

    Args:
        has_full_sync: As `drive_cache` has it.
    """
    with (
        drive_cache(has_full_sync=has_full_sync),
        exchanged(load_as_on("darwin", {"msvcrt": None})),
    ):
        yield
