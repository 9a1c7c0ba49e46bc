"""Read conversations in JSON lines."""

from __future__ import annotations

import codecs
import hashlib
import json
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.data.prepare.chats.forms import read_chat
from mypt.data.prepare.chats.turns import CORRECT_LINE, Chat, identify
from mypt.data.text import check_head
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@frozen
class Episode:
    """One episode: a line of a file.

    Attributes:
        file: The file.
        line: Line number, from 1.
        chat: What is said in it.
    """

    file: Path
    line: int
    chat: Chat

    @property
    def digest(self) -> bytes:
        """8 bytes that are equal for equal conversations, wherever they are."""
        text = json.dumps(identify(self.chat), sort_keys=True)
        return hashlib.sha256(text.encode()).digest()[:8]

    def locate(self, error: DataError) -> Problem:
        """Return the problem of an error about the line, with its file and number."""
        return _locate(error, self.file, self.line)


@frozen
class Line:
    """A line that is a JSON object.

    Attributes:
        file: The file.
        number: Line number, from 1.
        fields: The object.
    """

    file: Path
    number: int
    fields: Mapping[str, Any]

    def locate(self, error: DataError) -> Problem:
        """Return the problem of an error about the line, with its file and number."""
        return _locate(error, self.file, self.number)


def read_chat_lines(files: Sequence[Path]) -> Iterator[Episode | Problem]:
    """Read the lines of JSONL files, in any of the forms of `forms.py`; empty lines are skipped.

    Yields:
        For each line, its episode or its problem.

    Raises:
        DataError: As `read_object_lines`.
    """
    for line in read_object_lines(files):
        yield line if isinstance(line, Problem) else _read_episode(line)


def read_object_lines(files: Sequence[Path]) -> Iterator[Line | Problem]:
    """Read the lines of JSONL files; empty ones are skipped.

    Yields:
        Each line, or its problem where it is no JSON object.

    Raises:
        DataError: A file cannot be read, or is no UTF-8 text from the beginning on.
    """
    for file in files:
        try:
            check_head(file)
            with file.open("rb") as stream:
                if _begins_array(stream.readline()):
                    what = "is one JSON array instead of lines of a JSON object each"
                    fix = "write a line for each of its items, as `jq -c '.[]'` does"
                    yield Problem(str(file), "", what, fix, kind="data.chat")
                    continue
                stream.seek(0)
                for number, data in enumerate(stream, start=1):
                    if data.strip():
                        yield _read_line(file, number, data)
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise DataError(Problem(str(file), "", what, "check the path")) from error


def _begins_array(line: bytes) -> bool:
    return line.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def _read_line(file: Path, number: int, data: bytes) -> Line | Problem:
    try:
        fields = json.loads(data.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError:
        wrong = "is not UTF-8"
    except (ValueError, RecursionError):
        wrong = "is not JSON"
    else:
        if isinstance(fields, dict):
            return Line(file, number, fields)
        wrong = "is not a JSON object"
    return Problem(str(file), f"line {number}", wrong, CORRECT_LINE, kind="data.chat")


def _read_episode(line: Line) -> Episode | Problem:
    try:
        return Episode(line.file, line.number, read_chat(line.fields))
    except DataError as error:
        return line.locate(error)


def _locate(error: DataError, file: Path, number: int) -> Problem:
    [problem] = error.problems
    where = f"line {number}#{problem.where}" if problem.where else f"line {number}"
    return evolve(problem, file=str(file), where=where)
