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


def read_line() -> str:
    """Read a line and its continuation lines; only a terminal gets a prompt mark."""
    mark = "> " if sys.stdin.isatty() else ""
    lines = [input(mark)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(mark and ". "))
    return "\n".join(lines)


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
