"""Peek into a `.pt` file to find out which program wrote it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError
from mypt.format.tensors.pt_file import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def peek_dict(
    file: Path, keys: Iterable[str], dicts: Iterable[str] = ()
) -> Mapping[str, Any] | None:
    """Return the description of a file's dict if it has these keys; None for anything else.

    Args:
        file: A file, or a path where there is none.
        keys: The keys that it must have.
        dicts: Those whose values must be dicts.
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
    """Return the description of a file's content, or None; cached, as every reader asks for it.

    Args:
        file: The file.
        _: Cache key that changes when the file does.
    """
    try:
        return read_header(file, str(file), is_foreign=True).contents
    except (FormatError, OSError):
        return None
