"""A child process that may be killed: it has all that its parent has loaded."""

import os
import traceback
import warnings

_write = os.write  # a child may have exchanged the one in `os`


def forked(work):
    """Begin `work`, which takes a descriptor to write to and returns an exit code, in a fork.

    Returns:
        Number of the new process, and the stream of the text that it writes.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child runs no threads
        pid = os.fork()
    if pid == 0:
        os._exit(work(writer))
    os.close(writer)
    return pid, os.fdopen(reader, encoding="utf-8")


class Child:
    """A fork of this process.

    Attributes:
        pid: Its number.
    """

    def __init__(self, work):
        """Begin with `work`, which returns a text."""
        self.pid, self._said = forked(lambda writer: _tell(work, writer))

    def wait(self):
        """Give what `work` returned or the traceback of what it raised; None if it was killed."""
        with self._said as stream:
            said = stream.read()
        _, status = os.waitpid(self.pid, 0)
        return None if os.WIFSIGNALED(status) else said


def _tell(work, writer):
    try:
        said = work()
    except BaseException:
        said = traceback.format_exc()
    _write(writer, said.encode())
    return 0
