"""Lines that a user types, with a history."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HISTORY = Path("~/.mypt_history")
MAX_HISTORY = 1000


def read_line(mark: str = "> ", begun: str = "") -> str:
    """Read a line and its continuation lines; only a terminal gets a mark.

    Args:
        mark: What stands before it.
        begun: A line to change, where a line can be changed.

    Raises:
        DataError: It is no text; the next line can be read.
    """
    _keep_bytes()
    if not sys.stdin.isatty():
        mark = ""
    with _begin_line(begun):
        lines = [input(mark)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(mark and ". "))
    return _decode("\n".join(lines))


def _keep_bytes() -> None:
    """Let the standard input keep what is no text, which would take the lines after it with it."""
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.errors != "surrogateescape":
        sys.stdin.reconfigure(errors="surrogateescape")


def _decode(text: str) -> str:
    """Return a text whose bytes the locale may have had no characters for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        pass
    else:
        return text
    try:
        return text.encode(sys.stdin.encoding, "surrogateescape").decode()
    except UnicodeError as error:
        what, fix = "the line is not UTF-8", "write it as UTF-8"
        raise DataError(Problem("", "", what, fix, kind="text")) from error


@contextmanager
def _begin_line(text: str) -> Iterator[None]:
    """Put a text of one line into the next line that is read in a terminal."""
    readline = _find_readline()
    if readline is None:
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
    readline = _find_readline()
    if readline is None or not sys.stdin.isatty():
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


def _find_readline() -> ModuleType | None:
    """Return what edits lines; None on Windows, whose console does so and keeps a history."""
    try:
        return import_module("readline")
    except ImportError:
        return None
