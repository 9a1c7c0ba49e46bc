"""Read a text to train on."""

from __future__ import annotations

import codecs
import re
import stat
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Protocol

from attrs import frozen

from mypt.data.inputs.compression import find_compression, open_bytes
from mypt.data.inputs.text_encoding import HEAD_BYTES, explain_bytes, find_lucky_text
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCK_BYTES = 1 << 22  # decoded at once
_PLACE = re.compile(r"^line (\d+)(, column (\d+))?")
_AROUND = HEAD_BYTES // 2  # bytes looked at on each side of a wrong one
_ENDS_WITHIN = "unexpected end of data"


class Documents(Protocol):
    """A part of a text that consists of documents."""

    @property
    def size_bytes(self) -> int:
        """About how many bytes it has."""
        ...

    @property
    def left_out(self) -> list[str]:
        """What the last whole pass has left out, a line each."""
        ...

    def documents(self) -> Iterator[str]:
        """Yield the documents, none of which is empty."""
        ...


@frozen
class UnreadFile:
    """A text file on a disk, which can be read more than once.

    Attributes:
        path: Its path; the name says whether it is compressed.
        size_bytes: Its size on the disk when it was found.
        mtime_ns: Its modification time then, in nanoseconds since 1970.
    """

    path: Path
    size_bytes: int
    mtime_ns: int


@frozen(eq=False)
class InputText:
    """A text that is decoded a few megabytes at a time: a `str` takes up to four times its UTF-8.

    Attributes:
        parts: What it consists of: texts, valid UTF-8 that could be read only once, files that are
            read at each pass over the text, and documents that are read at each pass. Each of the
            others is one document.
        source: Its name.
    """

    parts: tuple[str | bytes | UnreadFile | Documents, ...]
    source: str

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces())

    @property
    def size_bytes(self) -> int:
        """About how many bytes it has as UTF-8; a part that is a `str` counts its characters."""
        return sum(len(p) if isinstance(p, str | bytes) else p.size_bytes for p in self.parts)

    @property
    def left_out(self) -> list[str]:
        """What the last whole pass over it has left out, a line each."""
        whole = (str, bytes, UnreadFile)
        return [line for p in self.parts if not isinstance(p, whole) for line in p.left_out]

    def documents(self) -> Iterator[Iterable[str]]:
        """Yield each document in pieces, which are to be read before the next document.

        Raises:
            DataError: A file is unreadable, empty or no UTF-8 text, or changed since it was found.
        """
        for part in self.parts:
            if isinstance(part, str | bytes | UnreadFile):
                yield _iter_pieces(part)
            else:
                yield from ((document,) for document in part.documents())

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces, with a newline after documents that end without one.

        None is added after the last.

        Raises:
            DataError: A file is unreadable, empty or no UTF-8 text, or changed since it was found.
        """
        return join_by_newlines(self.documents())


def join_by_newlines(documents: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield documents as one text in pieces, with a newline between two where the first has none.

    Args:
        documents: Each in pieces, which are read before the next document.
    """
    piece = "\n"
    for document in documents:
        if not piece.endswith("\n"):
            yield "\n"
        for piece in document:
            yield piece


def open_text(path: str | Path) -> bytes | UnreadFile:
    """Return a text file as a part of an `InputText`; what is no file on a disk is read at once.

    Raises:
        DataError: It is missing or a folder; or it was read, and is unreadable, empty or no UTF-8
            text.
    """
    with _raising_text_errors(str(path)):
        found = Path(path).stat()
    if stat.S_ISREG(found.st_mode) and found.st_size:
        return UnreadFile(Path(path), found.st_size, found.st_mtime_ns)
    return read_utf8(path)


def read_part(path: Path) -> Iterable[str]:
    """Return the pieces of a text file, which are read as they are asked for.

    Raises:
        DataError: It is missing or a folder; or it was read, and is unreadable, empty or no UTF-8
            text.
    """
    return _iter_pieces(open_text(path))


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file, keeping line endings and dropping a byte order mark.

    Raises:
        DataError: It is missing, a folder, unreadable, empty or no UTF-8 text.
    """
    return read_utf8(path).decode()


def read_utf8(path: str | Path) -> bytes:
    """Read a text file as `read_text` does, and return its UTF-8.

    Raises:
        DataError: It is missing, a folder, unreadable, empty or no UTF-8 text.
    """
    return check_file_utf8(read_bytes(path), path)


def read_bytes(path: str | Path) -> bytes:
    """Read a file at once.

    Raises:
        DataError: It is missing, a folder or unreadable.
    """
    with _raising_text_errors(str(path)):
        return Path(path).read_bytes()


def check_file_utf8(data: bytes, path: str | Path) -> bytes:
    """Return the bytes of a file, checked as `read_utf8` does.

    Raises:
        DataError: It is empty or no UTF-8 text.
    """
    return _check_utf8(data, str(path), str(path))


def decode_text(data: bytes, name: str) -> str:
    """Decode the bytes of the standard input as `read_text` does.

    Args:
        data: All of them.
        name: What messages call it.

    Raises:
        DataError: It is empty or no UTF-8 text.
    """
    return check_utf8(data, name).decode()


def check_utf8(data: bytes, name: str) -> bytes:
    """Return the bytes of the standard input, checked as `read_utf8` does.

    Args:
        data: All of them.
        name: What messages call it.

    Raises:
        DataError: It is empty or no UTF-8 text.
    """
    return _check_utf8(data, name, None)


def decode_piece(data: bytes, path: str | Path, start: int, *, is_last: bool) -> str:
    """Decode a piece of a UTF-8 text file; a byte order mark is kept.

    Args:
        data: Its bytes, unpacked.
        path: The file.
        start: Offset of the first byte in the file.
        is_last: Whether nothing follows; if not, an incomplete character at the end is left out.

    Raises:
        DataError: It is no UTF-8 text.
    """
    return _decode(data, str(path), _path_for_commands(Path(path)), start, is_last=is_last)[0]


def shift_place(where: str, lines: int, columns: int) -> str:
    """Return a place in a piece of a text, such as "line 2, column 3", as one in the text.

    Args:
        where: The place.
        lines: How many lines end before the piece.
        columns: How many characters of its first line come before it.
    """

    def shift(found: re.Match[str]) -> str:
        line, column = int(found[1]) + lines, found[3]
        if column is None:
            return f"line {line}"
        return f"line {line}, column {int(column) + (columns if found[1] == '1' else 0)}"

    return _PLACE.sub(shift, where)


def check_head(path: Path) -> None:
    """Raise if the first bytes of a file show that it is no UTF-8 text, but decodes by luck.

    Raises:
        DataError: It has NUL characters, as UTF-16 has, or is of another kind.
        OSError: It cannot be read.
    """
    head = _read_head(str(path))
    if find_lucky_text(head, is_head=True) is not None:
        decode_piece(head, path, 0, is_last=False)


def _check_utf8(data: bytes, name: str, path: str | None) -> bytes:
    """Return a UTF-8 text without its byte order mark; the decoded whole would take more memory."""
    try:
        is_text = find_lucky_text(data, is_head=True) is None
        for _ in () if data.isascii() else _decode_blocks(data):
            pass
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        _decode(data, name, path, 0, is_last=True)  # raises with what is wrong with it
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data:
        _raise_text_error(name, "is empty", "name a file that contains text")
    return data


def _decode_blocks(data: bytes) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _BLOCK_BYTES):
        end = start + _BLOCK_BYTES
        yield decoder.decode(data[start:end], final=end >= len(data))


def _iter_pieces(part: str | bytes | UnreadFile) -> Iterable[str]:
    if isinstance(part, str):
        return (part,)
    return _decode_blocks(part) if isinstance(part, bytes) else _read_blocks(part)


def _read_blocks(file: UnreadFile) -> Iterator[str]:
    """Yield the text of a file as `read_text` returns it, a block at a time."""
    name, path, place, held = str(file.path), _path_for_commands(file.path), 0, b""
    with _raising_text_errors(name), open_bytes(file.path) as stream:
        for block, is_last in _iter_blocks(file, stream):
            data = held + block
            text, held = _decode(data, name, path, place, is_last=is_last)
            text = text.removeprefix("\ufeff") if place == 0 else text
            if is_last and not text and place == 0:
                _raise_text_error(name, "is empty", "name a file that contains text")
            place += len(data) - len(held)
            yield text


def _iter_blocks(file: UnreadFile, stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield blocks of bytes, each with whether it is the last; raise if the file has changed."""
    block = stream.read(_BLOCK_BYTES)
    for following in chain(iter(lambda: stream.read(_BLOCK_BYTES), b""), (b"",)):
        if not following and _has_changed(file):
            fix = "run the same command again once nothing writes to it"
            _raise_text_error(str(file.path), "changed while it was read", fix)
        yield block, not following
        block = following


def _path_for_commands(path: Path) -> str | None:
    """Return the path of a file that a command can convert; None for a compressed one."""
    return None if find_compression(path.name) else str(path)


def _has_changed(file: UnreadFile) -> bool:
    now = file.path.stat()
    return (now.st_size, now.st_mtime_ns) != (file.size_bytes, file.mtime_ns)


def _decode(
    data: bytes, name: str, path: str | None, start: int, *, is_last: bool
) -> tuple[str, bytes]:
    """Decode UTF-8.

    Args:
        data: The bytes.
        name: What messages call the text.
        path: Its file; None if no file can be named in a command.
        start: Offset of the first byte in the text.
        is_last: Whether nothing follows.

    Returns:
        The text, and what is left of an incomplete character at the end.
    """
    wrong, is_cut, text = find_lucky_text(data, is_head=start == 0), False, ""
    decoder = codecs.getincrementaldecoder("utf-8")()
    if wrong is None:
        try:
            text = decoder.decode(data, final=is_last)
        except UnicodeDecodeError as error:
            wrong, is_cut = error.start, error.reason == _ENDS_WITHIN
    if wrong is not None:
        first = max(0, wrong - _AROUND)
        first = min(wrong, first + -(start + first) % 4)
        around = data[first : wrong + _AROUND]
        head = data[:HEAD_BYTES] if start == 0 or path is None else _read_head(path)
        misread = explain_bytes(head, around, wrong - first, start + wrong, path, is_cut=is_cut)
        _raise_text_error(name, misread.what, misread.fix)
    return text, decoder.getstate()[0]


def _read_head(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(HEAD_BYTES)


@contextmanager
def _raising_text_errors(file: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        _raise_text_error(file, "there is no such file", "check the path")
    except IsADirectoryError:
        _raise_text_error(file, "is a folder", "name a text file")
    except OSError as error:
        _raise_text_error(
            file, f"cannot be read ({error.strerror})", "check the path and its permissions"
        )


def _raise_text_error(file: str, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(file, "", what, fix, kind="data.text"))
