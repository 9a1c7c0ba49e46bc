"""Stop a run at the end of a step, on Ctrl-C or a signal of the machine."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A terminal that is closed, and what Slurm sends before the end of a job (--signal=USR1@120).
# Not every platform has them. `nohup` has the first ignored, which it then stays.
_UNLESS_IGNORED = ("SIGHUP", "SIGUSR1")


class StopRequest:
    """While open, the first Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 asks the run to stop.

    A second Ctrl-C forces it.

    Attributes:
        requested: Whether a stop was requested.
    """

    def __init__(self) -> None:
        """Start without a request."""
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._request) for s in _list_signals()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the handlers from before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def ask(self) -> None:
        """Request a stop from within the run."""
        self.requested = True

    def _request(self, number: int, _: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


def _list_signals() -> Iterator[signal.Signals]:
    """Yield the signals that ask for a stop."""
    yield from _SIGNALS
    for name in _UNLESS_IGNORED:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            yield number
