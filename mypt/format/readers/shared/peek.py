"""Look into a `.pt` file, to tell which program wrote it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError
from mypt.format.tensors.pt_file import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def peek_dict(file: Path, keys: Iterable[str], dicts: Iterable[str]) -> Mapping[str, Any] | None:
    """Give what a file describes, if it is a dict with these keys; None for anything else.

    Args:
        file: A file, or a path where none is.
        keys: What must be there.
        dicts: Those of them that must be dicts.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    contents = _read_contents(file, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    if not isinstance(contents, dict) or not contents.keys() >= set(keys):
        return None
    return contents if all(isinstance(contents[name], dict) for name in dicts) else None


@lru_cache(maxsize=1)
def _read_contents(file: Path, _: tuple[int, ...]) -> Any:
    """Give what a file describes, None if nothing; one reader after the other asks for the same.

    Args:
        file: The file.
        _: What changes when the file does.
    """
    try:
        return read_header(file, str(file)).contents
    except (FormatError, OSError):
        return None
