"""Read a text to train on."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NoReturn

from mypt.data.inputs.text_encoding import HEAD_BYTES, explain_bytes, find_lucky_text
from mypt.format.errors import DataError, Problem

_AROUND = HEAD_BYTES // 2  # bytes looked at on each side of a wrong one
_ENDS_WITHIN = "unexpected end of data"


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file, keeping line endings and dropping a byte order mark.

    Raises:
        DataError: It is missing, a folder, unreadable, empty or no UTF-8 text.
    """
    file = str(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        _raise_text_error(file, "there is no such file", "check the path")
    except IsADirectoryError:
        _raise_text_error(file, "is a folder", "name a text file")
    except OSError as error:
        _raise_text_error(
            file, f"cannot be read ({error.strerror})", "check the path and its permissions"
        )
    return _decode_whole(data, file, file)


def decode_text(data: bytes, name: str) -> str:
    """Decode the bytes of the standard input as `read_text` does.

    Args:
        data: All of them.
        name: What messages call it.

    Raises:
        DataError: It is empty or no UTF-8 text.
    """
    return _decode_whole(data, name, None)


def decode_piece(data: bytes, path: str | Path, start: int, *, is_last: bool) -> str:
    """Decode a piece of a UTF-8 text file; a byte order mark is kept.

    Args:
        data: Its bytes.
        path: The file.
        start: Offset of the first byte in the file.
        is_last: Whether nothing follows; if not, an incomplete character at the end is left out.

    Raises:
        DataError: It is no UTF-8 text.
    """
    return _decode(data, str(path), str(path), start, is_last=is_last)


def check_head(path: Path) -> None:
    """Raise if the first bytes of a file show that it is no UTF-8 text, but decodes by luck.

    Raises:
        DataError: It has NUL characters, as UTF-16 has, or is of another kind.
        OSError: It cannot be read.
    """
    head = _read_head(str(path))
    if find_lucky_text(head, is_head=True) is not None:
        decode_piece(head, path, 0, is_last=False)


def _decode_whole(data: bytes, name: str, path: str | None) -> str:
    text = _decode(data, name, path, 0, is_last=True).removeprefix("\ufeff")
    if not text:
        _raise_text_error(name, "is empty", "name a file that contains text")
    return text


def _decode(data: bytes, name: str, path: str | None, start: int, *, is_last: bool) -> str:
    """Decode UTF-8; `path` is None if no file can be named in a command."""
    wrong, is_cut, text = find_lucky_text(data, is_head=start == 0), False, ""
    if wrong is None:
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(data, final=is_last)
        except UnicodeDecodeError as error:
            wrong, is_cut = error.start, error.reason == _ENDS_WITHIN
    if wrong is not None:
        first = max(0, wrong - _AROUND)
        first = min(wrong, first + -(start + first) % 4)
        around = data[first : wrong + _AROUND]
        head = data[:HEAD_BYTES] if start == 0 or path is None else _read_head(path)
        misread = explain_bytes(head, around, wrong - first, start + wrong, path, is_cut=is_cut)
        _raise_text_error(name, misread.what, misread.fix)
    return text


def _read_head(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _raise_text_error(file: str, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(file, "", what, fix, kind="data.text"))
