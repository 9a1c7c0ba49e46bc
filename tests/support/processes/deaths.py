"""Deaths of a process at a known instant: when it flushes a file to disk, or removes a folder."""

import errno
import os
import re
import signal
from pathlib import Path


def when_flushing(pattern, number=1, *, full=False):
    """Return what has its process killed before it flushes such a file for the n-th time.

    With `full`, its disk is full from then on instead.
    """

    def arm():
        flush, seen = os.fsync, []

        def fsync(descriptor):
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            seen.extend([path] * bool(re.search(pattern, path)))
            if len(seen) == number and not full:
                os.kill(os.getpid(), signal.SIGKILL)
            if len(seen) >= number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(descriptor)

        os.fsync = fsync

    return arm


def when_removing_a_folder(pattern, number=1):
    """Return what has its process killed before it removes such a folder for the n-th time."""

    def arm():
        remove, seen = os.rmdir, []

        def rmdir(path, **options):
            seen.extend([path] * bool(re.search(pattern, str(path))))
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            remove(path, **options)

        os.rmdir = rmdir

    return arm
