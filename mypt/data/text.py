"""Read a text to train on."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NoReturn

from mypt.format.errors import DataError, Problem


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file, keeping line endings and dropping a byte order mark.

    Raises:
        DataError: It is missing, a folder, unreadable, empty or not UTF-8.
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
    return decode_text(data, file)


def decode_text(data: bytes, file: str) -> str:
    """Decode the bytes of a file of this name as `read_text` does.

    Raises:
        DataError: It is empty or not UTF-8.
    """
    body = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + len(data) - len(body)
        what = f"is not UTF-8: byte {offset} is 0x{data[offset]:02x}"
        _raise_text_error(file, what, "save it as UTF-8, or name a text file")
    if not text:
        _raise_text_error(file, "is empty", "name a file that contains text")
    return text


def _raise_text_error(file: str, what: str, fix: str) -> NoReturn:
    raise DataError(Problem(file, "", what, fix, kind="data.text"))
