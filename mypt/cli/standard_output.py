"""Standard output that cannot be written: a full disk, or a pipe whose reader has gone."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, TextIO, cast

from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class OutputLostError(OSError):
    """Standard output cannot be written."""

    @property
    def has_no_reader(self) -> bool:
        """Whether whoever read a pipe has seen enough, as `| head` has."""
        return self.errno == errno.EPIPE


@contextmanager
def checked_output() -> Iterator[None]:
    """Raise an error of its own if standard output cannot be written, unlike any other file.

    Raises:
        OutputLostError: It cannot be written.
    """
    with _watch_output(is_optional=False):
        yield


@contextmanager
def optional_output() -> Iterator[None]:
    """Let a command go on without standard output, since its product are files.

    Where it cannot be written, one warning says so on standard error; what is printed later is
    dropped. Also a decorator, as every context manager that a function makes.
    """
    with _watch_output(is_optional=True):
        yield


@contextmanager
def _watch_output(*, is_optional: bool) -> Iterator[None]:
    if sys.stdout is None:  # closed from the start: nobody asked for it
        yield
        return
    watched: object = sys.stdout  # by the other of the two, which is to see nothing of a loss
    stream = watched.stream if isinstance(watched, _WatchedOutput) else sys.stdout
    output = _WatchedOutput(stream, is_optional=is_optional)
    with redirect_stdout(cast("TextIO", output)):
        try:
            yield
        finally:
            output.flush()


class _WatchedOutput:
    """A stream that notices when it cannot be written, and from then on is the null device."""

    def __init__(self, stream: TextIO, *, is_optional: bool) -> None:
        self.stream = stream
        self._is_optional = is_optional
        self._lost: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, write: Callable[[], object]) -> None:
        if self._lost is None:
            try:
                write()
            except OSError as error:
                self._lost = error
                self._discard()
                if self._is_optional:
                    _warn(error)
        if self._lost is not None and not self._is_optional:  # click tries to write, and hides it
            raise OutputLostError(self._lost.errno, self._lost.strerror) from self._lost

    def _discard(self) -> None:
        """Put the null device behind the stream, for what waits in its buffer until the exit."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.stream.fileno())
        os.close(null)


def _warn(error: OSError) -> None:
    reason = f"standard output cannot be written ({error.strerror})"
    with suppress(OSError):  # the terminal may have gone with it
        echo(f"warning: {reason}; the command goes on without it", err=True)
