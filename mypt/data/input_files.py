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
from mypt.data.sources.choice import SourceChoice
from mypt.data.sources.input_source import InputSource, SourceDocuments
from mypt.data.sources.plain_text import PLAIN_TEXT
from mypt.data.stdlib_corpus import standard_library_text
from mypt.data.text import (
    InputText,
    UnreadFile,
    check_file_utf8,
    check_utf8,
    open_text,
    read_bytes,
)
from mypt.format.errors import DataError, Problem, limit_problems, one_line
from mypt.format.rules.plugin_settings import TEXT
from mypt.format.storage.files import is_present

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from mypt.plugins.contracts.data_source import DataSourceFactory

_LOGGER = logging.getLogger("mypt")
STDIN = "-"
STANDARD_LIBRARY = "stdlib"


@frozen
class InputFile:
    """A file to read, or a folder that is read as a whole.

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
    def is_whole(self) -> bool:
        """Whether it is a folder that is read as a whole."""
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)

    @property
    def is_regular(self) -> bool:
        """Whether it is a file on a disk, which can be read more than once."""
        return self.status is not None and stat.S_ISREG(self.status.st_mode)


def read_input(inputs: Sequence[str], choice: SourceChoice | None = None) -> InputText:
    """Read files, folders and the standard input as one text.

    Empty files of a folder are left out; see `resolve_inputs`. What stands between documents is up
    to what reads the text.

    Args:
        inputs: Paths; "-" is the standard input, and "stdlib" the Python standard library.
        choice: What reads which file; by default mypt's own data sources.

    Raises:
        DataError: An input is missing, unreadable or no UTF-8 text, or none holds any text.
    """
    choice = choice or SourceChoice()
    files: defaultdict[str, list[InputFile]] = defaultdict(list)
    for file in resolve_inputs([name for name in inputs if name != STANDARD_LIBRARY], choice):
        files[file.source].append(file)
    parts: list[str | bytes | UnreadFile | SourceDocuments] = []
    sources: list[str] = []
    for name in inputs:
        if name == STANDARD_LIBRARY:
            corpus = standard_library_text()
            parts.append(corpus.text)
            sources.append(corpus.description)
            continue
        parts += [_open_file(file, choice) for file in files[name] if _is_read(file)]
        sources.append(name)
    if not parts:
        raise _make_no_text_error(inputs)
    return InputText(tuple(parts), ", ".join(sources))


def open_input(path: str, choice: SourceChoice) -> bytes | UnreadFile | SourceDocuments:
    """Return a file, or a folder that is read as a whole, as a part of a text.

    Args:
        path: Its path.
        choice: What reads which file.

    Raises:
        DataError: It is missing or a folder; or it was read, and is unreadable, empty or no UTF-8
            text.
    """
    source = InputSource(Path(path))
    if not is_present(source.path):
        return open_text(path)  # raises
    return _open_source(source, choice, was_named=True)


def sources_of(texts: Iterable[InputText]) -> list[DataSourceFactory]:
    """Return what reads the parts of some texts."""
    parts = [part for text in texts for part in text.parts]
    return [part.factory if isinstance(part, SourceDocuments) else PLAIN_TEXT for part in parts]


def resolve_inputs(inputs: Sequence[str], choice: SourceChoice | None = None) -> list[InputFile]:
    """List the files that are read for some inputs, in the order of the inputs.

    All files of a folder and its sub-folders are read, in the order of their paths within it,
    except those whose name, or whose folder's name, begins with a dot. Links are followed; see
    `FolderWalk`.

    Args:
        inputs: Paths; "-" is the standard input.
        choice: What reads some folders as a whole; None for nothing.

    Raises:
        DataError: An input is missing, a path is empty, a part of a folder cannot be read, or two
            inputs hold the same file.
    """
    found: list[InputFile] = []
    problems: list[Problem] = []
    input_of: dict[object, int] = {}
    for number, name in enumerate(inputs):
        for one in _list_input(name, choice):
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


def _open_file(file: InputFile, choice: SourceChoice) -> bytes | UnreadFile | SourceDocuments:
    """Return a file as a part of a text; what can be read only once is read."""
    data = None
    if file.status is None:
        data = sys.stdin.buffer.read()
    elif not file.is_regular and not file.is_whole:
        data = read_bytes(file.path)
    return _open_source(InputSource(file.path, data), choice, was_named=file.was_named)


def _open_source(
    source: InputSource, choice: SourceChoice, *, was_named: bool
) -> bytes | UnreadFile | SourceDocuments:
    factory = choice.find(source)
    if factory is not None and factory.name != TEXT:
        return choice.open(source, factory, was_named=was_named)
    if source.data is None:
        return open_text(source.path)
    if source.path == Path(STDIN):
        return check_utf8(source.data, "the standard input")
    return check_file_utf8(source.data, source.path)


def _list_input(name: str, choice: SourceChoice | None) -> Iterator[InputFile | Problem]:
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
    if choice is not None and choice.find(InputSource(path)) is not None:
        yield InputFile(path, path.name, name, was_named=True, status=status)
        return
    walk = FolderWalk(path, lambda folder: _is_whole(folder, choice))
    yield from walk.problems
    for link in walk.circles:
        _LOGGER.warning(
            "%s leads back to a folder that it is in, which is read once", one_line(str(link))
        )
    for file in walk.files:
        yield InputFile(file.path, file.name, name, was_named=False, status=file.status)


def _is_whole(folder: Path, choice: SourceChoice | None) -> bool:
    """Return whether a folder within another is read as a whole."""
    return choice is not None and choice.find(InputSource(folder)) is not None


def _make_twice_problem(file: InputFile, other: str) -> Problem:
    is_named = Path(other) == file.path
    what = "is read twice" if is_named else f"is read twice: it is part of {other} too"
    return Problem(str(file.path), "", what, "name it once", kind="data.twice")


def _make_no_text_error(inputs: Sequence[str]) -> DataError:
    what, fix = "contains no text", "name a file or folder that contains text"
    return DataError(Problem(", ".join(inputs), "", what, fix, kind="data.text"))
