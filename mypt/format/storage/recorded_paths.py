"""Paths as records have them: relative to the working folder, or only their last name.

A path outside of it would show how a machine is laid out, and most often the name of a user.
"""

from __future__ import annotations

import os
import re
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_SLASH = r"(?:[A-Za-z]:)?[\\/]+" if os.name == "nt" else "/+"
# What a path begins with that leads out of the working folder.
_OUTSIDE = rf"(?:~[\w.-]*|\.\.)?{_SLASH}"
_WHOLE = re.compile(rf"{_OUTSIDE}[^\s\0{{}}\[\]][^\0]*", re.DOTALL)
_WITHIN = re.compile(
    rf"""(?<="){_OUTSIDE}[^"\0]+|(?<='){_OUTSIDE}[^'\0]+"""
    rf"""|(?:(?<=[\s=:,;(\[{{])|^){_OUTSIDE}[^\s\0"',;:)\]}}]+"""
)


def record_path(path: str) -> str:
    """Return a path relative to the working folder if it is in there, else its last name."""
    folder = Path.cwd()
    for place, inside in ((_normalize(path), folder), (os.path.realpath(path), folder.resolve())):
        if not path.startswith("~") and Path(place).is_relative_to(inside):
            return str(Path(place).relative_to(inside))
    return Path(path).name


def _normalize(path: str) -> str:
    """Return an absolute path without `..`; links are not followed."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps `..`


def record_text(text: str) -> str:
    """Return a text with each path in it that leads out of the working folder as `record_path`."""
    return _WITHIN.sub(lambda found: record_path(found[0]), text)


def record_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words of a command line, with paths as `record_value` returns them.

    What follows `--flag=` is a word of its own.
    """
    return tuple(map(_record_word, words))


def record_value(value: Any) -> Any:
    """Return a JSON value of which every text may be a path, or a JSON text that holds some."""
    if isinstance(value, str):
        return record_path(value) if _WHOLE.fullmatch(value) else record_text(value)
    if isinstance(value, dict):
        return _record_mapping(value)
    if isinstance(value, list | tuple):
        return [record_value(item) for item in value]
    return value


def _record_mapping(values: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object of which keys may be paths too; those of one last name are numbered."""
    recorded: dict[str, Any] = {}
    for name, item in values.items():
        known = record_path(name) if _WHOLE.fullmatch(name) else name
        numbers = (f" ({number})" for number in count(2))
        key = next(k for k in chain((known,), (known + n for n in numbers)) if k not in recorded)
        recorded[key] = record_value(item)
    return recorded


def _record_word(word: str) -> str:
    flag, equals, value = word.partition("=")
    if equals and flag.startswith("-"):
        return f"{flag}={record_value(value)}"
    return str(record_value(word))
