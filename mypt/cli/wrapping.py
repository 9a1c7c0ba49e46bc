"""Break what is printed at the width of the terminal."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

from mypt.format.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_NARROWEST = 20
_NO_TERMINAL = 10_000  # characters of a line that no terminal has


def terminal_width() -> int:
    """Return the columns of the terminal, or of a line that no terminal has where there is none."""
    return max(shutil.get_terminal_size((_NO_TERMINAL, 0)).columns, _NARROWEST)


def wrap_value(head: str, text: str) -> list[str]:
    """Return the lines of a text behind a head, such as the name of a value.

    Args:
        head: What the first line begins with; the others are indented by its width.
        text: The text; control characters are escaped.
    """
    width = max(terminal_width(), len(head) + _NARROWEST // 2)
    blank = " " * len(head)
    return textwrap.wrap(one_line(text), width, initial_indent=head, subsequent_indent=blank) or [
        head
    ]


def wrap_command(words: Iterable[str]) -> list[str]:
    """Return the lines of a command, indented, with a backslash before each break.

    Args:
        words: Its parts; none of them is broken, so that it can be copied.
    """
    lines, width = [""], terminal_width() - 4  # indentation, and room for the backslash
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width - (2 if len(lines) > 1 else 0):
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    indents = ["  ", *["    "] * (len(lines) - 1)]
    joined = [indent + line for indent, line in zip(indents, lines, strict=True)]
    return [f"{line} \\" for line in joined[:-1]] + joined[-1:]
