"""A child process that may be killed: it has all that its parent has loaded."""

import os
import traceback
import warnings

_write = os.write  # a child may have exchanged the one in `os`


class Child:
    """A fork of this process.

    Attributes:
        pid: Its number.
    """

    def __init__(self, work):
        """Begin with `work`, which returns a text."""
        self._reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child runs no threads
            self.pid = os.fork()
        if self.pid == 0:
            try:
                said = work()
            except BaseException:
                said = traceback.format_exc()
            _write(writer, said.encode())
            os._exit(0)
        os.close(writer)

    def wait(self):
        """Give what `work` returned or the traceback of what it raised; None if it was killed."""
        with os.fdopen(self._reader, encoding="utf-8") as stream:
            said = stream.read()
        _, status = os.waitpid(self.pid, 0)
        return None if os.WIFSIGNALED(status) else said
