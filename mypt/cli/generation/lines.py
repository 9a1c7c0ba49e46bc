"""Lines that a user types, with a history."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORY = Path("~/.mypt_history")
MAX_HISTORY = 1000


def read_line(mark: str = "> ", begun: str = "") -> str:
    """Read a line and its continuation lines; only a terminal gets a mark.

    Args:
        mark: What stands before it.
        begun: A line to change, where a line can be changed.
    """
    if not sys.stdin.isatty():
        mark = ""
    with _begin_line(begun):
        lines = [input(mark)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(mark and ". "))
    return "\n".join(lines)


@contextmanager
def _begin_line(text: str) -> Iterator[None]:
    """Put a text of one line into the next line that is read in a terminal."""
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    if text and "\n" not in text:
        readline.set_startup_hook(lambda: readline.insert_text(text))
    try:
        yield
    finally:
        readline.set_startup_hook()


@contextmanager
def keep_history() -> Iterator[None]:
    """Load and save the history of lines, if the input is a terminal."""
    try:
        import readline
    except ImportError:  # Windows, whose console keeps a history of its own
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    file = HISTORY.expanduser()
    with suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        readline.set_history_length(MAX_HISTORY)
        with suppress(OSError):
            readline.write_history_file(file)
