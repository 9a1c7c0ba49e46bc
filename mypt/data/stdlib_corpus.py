"""A text that every user already has: the source of the Python standard library."""

from __future__ import annotations

import hashlib
import platform
import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import DataError, Problem
from mypt.format.storage.files import is_folder, is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator

# Third-party packages, tests, an editor, tables of numbers and pages of prose.
_LEFT_OUT = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "encodings",
        "idle_test",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
    }
)
_CHARACTERS = bytes(range(0x20, 0x7F)) + b"\t\n\f"


@frozen
class Corpus:
    """A text and its description.

    Attributes:
        text: The text.
        description: A human-readable name for it.
    """

    text: str
    description: str


def standard_library_text(folder: str | Path | None = None) -> Corpus:
    """Join the standard library's files in a fixed, pseudo-random order.

    They are ordered by a hash of their names, so that the last tenth of the text, used for
    validation, resembles the rest. Only plain ASCII files are used, so there are fewer than 100
    distinct characters.

    Args:
        folder: Folder of the library; by default that of the running Python.

    Raises:
        DataError: This Python lacks the library's source files.
    """
    root = Path(sysconfig.get_path("stdlib") if folder is None else folder)
    files = {path.relative_to(root).as_posix(): path for path in _find_source_files(root)}
    texts = [_read_plain_text(files[name]) for name in sorted(files, key=_hash_name)]
    kept = [text for text in texts if text]
    if not kept:
        what = "this Python lacks the source files of its standard library"
        raise DataError(Problem("", "", what, "name your own text with --input_file"))
    text = "".join(kept)
    version = platform.python_version()
    size_mb = len(text) / 1e6
    description = f"the Python {version} standard library ({len(kept)} files, {size_mb:.1f} MB)"
    return Corpus(text, description)


def is_standard_library(description: str) -> bool:
    """Return whether a description is one by `standard_library_text`, of any Python."""
    return re.match(r"the Python \S+ standard library ", description) is not None


def _find_source_files(folder: Path) -> Iterator[Path]:
    if not is_folder(folder):
        return
    for path in folder.iterdir():
        if is_folder(path):
            if path.name not in _LEFT_OUT:
                yield from _find_source_files(path)
        elif _is_module(path) and is_regular_file(path):  # a link may be dangling
            yield path


def _is_module(path: Path) -> bool:
    # _sysconfigdata*.py describes how and where this Python was built.
    return path.suffix == ".py" and not path.name.startswith("_sysconfigdata")


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _read_plain_text(path: Path) -> str:
    """Return the file's text, ending with a newline, or "" if it is not plain ASCII."""
    data = path.read_bytes().replace(b"\r\n", b"\n")
    if not data or data.translate(None, _CHARACTERS):
        return ""
    return data.decode("ascii").rstrip("\n") + "\n"
