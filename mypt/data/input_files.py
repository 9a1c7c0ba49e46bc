"""Resolve the inputs that a user names: files, folders and the standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.data.stdlib_corpus import standard_library_text
from mypt.data.text import decode_text, read_text
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDIN = "-"
STANDARD_LIBRARY = "stdlib"


@frozen
class InputText:
    """A text and its name."""

    text: str
    source: str


@frozen
class InputFile:
    """A file to read.

    Attributes:
        path: Its path.
        name: Its path within the folder that was named, with slashes; for a file that was named
            itself, its base name.
        was_named: Whether the file itself was named, so that it must not be empty.
    """

    path: Path
    name: str
    was_named: bool


def read_input(inputs: Sequence[str]) -> InputText:
    """Read files, folders and the standard input as one text.

    All files of a folder and its sub-folders are read, in the order of their paths within it,
    except empty files and those whose name, or whose folder's name, begins with a dot. A file that
    does not end with a newline gets one if another follows.

    Args:
        inputs: Paths; "-" is the standard input, and "stdlib" the Python standard library.

    Raises:
        DataError: An input is missing, unreadable or not UTF-8, or none holds any text.
    """
    parts: list[str] = []
    sources: list[str] = []
    for name in inputs:
        if name == STANDARD_LIBRARY:
            corpus = standard_library_text()
            parts.append(corpus.text)
            sources.append(corpus.description)
            continue
        parts += _read_texts(name)
        sources.append(name)
    if not parts:
        raise _make_no_text_error(inputs)
    last = parts.pop()
    return InputText("".join([*map(end_with_newline, parts), last]), ", ".join(sources))


def list_files(name: str) -> list[InputFile]:
    """List the file at a path, or the files of a folder, chosen as `read_input` does.

    Raises:
        DataError: The file or folder does not exist, or the path is empty.
    """
    if not name:
        raise DataError(Problem("", "", "the name of a file or folder is empty", "check the path"))
    path = Path(name)
    if path.is_dir():
        found = sorted(
            (file.relative_to(path).as_posix(), file) for file in _walk_visible_files(path)
        )
        return [InputFile(file, inner, was_named=False) for inner, file in found]
    if not path.exists():
        raise DataError(Problem(name, "", "there is no such file", "check the path"))
    return [InputFile(path, path.name, was_named=True)]


def end_with_newline(text: str) -> str:
    """Return the text with a newline at its end, added if missing."""
    return text if text.endswith("\n") else f"{text}\n"


def _read_texts(name: str) -> Iterator[str]:
    if name == STDIN:
        yield decode_text(sys.stdin.buffer.read(), "the standard input")
        return
    for file in list_files(name):
        if file.was_named or file.path.stat().st_size > 0:
            yield read_text(file.path)


def _walk_visible_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _make_no_text_error(inputs: Sequence[str]) -> DataError:
    what, fix = "contains no text", "name a file or folder that contains text"
    return DataError(Problem(", ".join(inputs), "", what, fix, kind="data.text"))
