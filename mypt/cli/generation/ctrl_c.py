"""Ctrl-C in a session: it ends a line or a text, and never the session."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class CtrlC:
    """Lets Ctrl-C interrupt what can be ended, once, and keeps it from all else.

    Keys are pressed twice, and late: the second Ctrl-C, or one for a text that has just ended,
    would otherwise raise where nothing takes it, and end the session.
    """

    def __init__(self) -> None:
        """Begin with nothing to end."""
        self._ends_something = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take Ctrl-C over from Python, in the main thread."""
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def ends(self) -> Iterator[None]:
        """Let Ctrl-C end what is done in here.

        Raises:
            KeyboardInterrupt: It was pressed.
        """
        self._ends_something = True
        try:
            yield
        finally:
            self._ends_something = False

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        if self._ends_something:
            self._ends_something = False
            raise KeyboardInterrupt
