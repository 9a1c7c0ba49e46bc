"""Resolve the inputs that a user names: files, folders and the standard input."""

from __future__ import annotations

import logging
import stat
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.data.inputs.folder_walk import FolderWalk, explain_os_error, identify
from mypt.data.stdlib_corpus import standard_library_text
from mypt.data.text import InputText, UnreadFile, check_utf8, open_text
from mypt.format.errors import DataError, Problem, limit_problems, one_line

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

_LOGGER = logging.getLogger("mypt")
STDIN = "-"
STANDARD_LIBRARY = "stdlib"


@frozen
class InputFile:
    """A file to read.

    Attributes:
        path: Its path; `Path("-")` for the standard input.
        name: Its path within the folder that was named, with slashes; for a file that was named
            itself, its base name.
        source: The input that it belongs to, as it was named.
        was_named: Whether the file itself was named, so that it must not be empty.
        status: Its size, time and identity; None for the standard input.
    """

    path: Path
    name: str
    source: str
    was_named: bool
    status: os.stat_result | None

    @property
    def is_empty(self) -> bool:
        """Whether it is a file of no bytes."""
        return self.is_regular and self.status is not None and self.status.st_size == 0

    @property
    def is_regular(self) -> bool:
        """Whether it is a file on a disk, which can be read more than once."""
        return self.status is not None and stat.S_ISREG(self.status.st_mode)


def read_input(inputs: Sequence[str]) -> InputText:
    """Read files, folders and the standard input as one text.

    Empty files of a folder are left out; see `resolve_inputs`. A file that does not end with a
    newline gets one if another follows.

    Args:
        inputs: Paths; "-" is the standard input, and "stdlib" the Python standard library.

    Raises:
        DataError: An input is missing, unreadable or no UTF-8 text, or none holds any text.
    """
    files: defaultdict[str, list[InputFile]] = defaultdict(list)
    for file in resolve_inputs([name for name in inputs if name != STANDARD_LIBRARY]):
        files[file.source].append(file)
    parts: list[str | bytes | UnreadFile] = []
    sources: list[str] = []
    for name in inputs:
        if name == STANDARD_LIBRARY:
            corpus = standard_library_text()
            parts.append(corpus.text)
            sources.append(corpus.description)
            continue
        parts += [_open_file(file) for file in files[name] if _is_read(file)]
        sources.append(name)
    if not parts:
        raise _make_no_text_error(inputs)
    return InputText(tuple(parts), ", ".join(sources))


def resolve_inputs(inputs: Sequence[str]) -> list[InputFile]:
    """List the files that are read for some inputs, in the order of the inputs.

    All files of a folder and its sub-folders are read, in the order of their paths within it,
    except those whose name, or whose folder's name, begins with a dot. Links are followed; see
    `FolderWalk`.

    Args:
        inputs: Paths; "-" is the standard input.

    Raises:
        DataError: An input is missing, a path is empty, a part of a folder cannot be read, or two
            inputs hold the same file.
    """
    found: list[InputFile] = []
    problems: list[Problem] = []
    input_of: dict[object, int] = {}
    for number, name in enumerate(inputs):
        for one in _list_input(name):
            if isinstance(one, Problem):
                problems.append(one)
                continue
            found.append(one)
            identity = None if one.status is None else identify(one.status)
            first = input_of.setdefault(identity, number)
            if first != number:
                problems.append(_make_twice_problem(one, inputs[first]))
    if problems:
        raise DataError(*limit_problems(problems))
    return found


def end_with_newline(text: str) -> str:
    """Return the text with a newline at its end, added if missing."""
    return text if text.endswith("\n") else f"{text}\n"


def _is_read(file: InputFile) -> bool:
    return file.was_named or not file.is_empty


def _open_file(file: InputFile) -> bytes | UnreadFile:
    if file.status is None:
        return check_utf8(sys.stdin.buffer.read(), "the standard input")
    return open_text(file.path)


def _list_input(name: str) -> Iterator[InputFile | Problem]:
    """Yield the files of an input, and what of it cannot be read."""
    if not name:
        yield Problem("", "", "the name of a file or folder is empty", "check the path")
        return
    path = Path(name)
    if name == STDIN:
        yield InputFile(path, name, name, was_named=True, status=None)
        return
    try:
        status = path.stat()
    except OSError as error:
        yield explain_os_error(path, error)
        return
    if not stat.S_ISDIR(status.st_mode):
        yield InputFile(path, path.name, name, was_named=True, status=status)
        return
    walk = FolderWalk(path)
    yield from walk.problems
    for link in walk.circles:
        _LOGGER.warning(
            "%s leads back to a folder that it is in, which is read once", one_line(str(link))
        )
    for file in walk.files:
        yield InputFile(file.path, file.name, name, was_named=False, status=file.status)


def _make_twice_problem(file: InputFile, other: str) -> Problem:
    what = f"is read twice: it is part of {other} too"
    return Problem(str(file.path), "", what, "name it once", kind="data.twice")


def _make_no_text_error(inputs: Sequence[str]) -> DataError:
    what, fix = "contains no text", "name a file or folder that contains text"
    return DataError(Problem(", ".join(inputs), "", what, fix, kind="data.text"))
