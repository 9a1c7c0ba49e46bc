"""The text that every user already has: the source files of the Python standard library."""

from __future__ import annotations

import hashlib
import platform
import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

# Other people's packages, tests, an editor, tables of numbers and pages of prose.
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
    """A text and what it is.

    Attributes:
        text: The text.
        description: What to call it when a person reads.
    """

    text: str
    description: str


def standard_library_text(folder: str | Path | None = None) -> Corpus:
    """Join the standard library's files, in an order that looks random and never changes.

    Ordered by a hash of their names, the last tenth of the text, on which a model is validated, is
    like the rest. Only plain ASCII files are taken, so there are fewer than 100 characters.

    Args:
        folder: Where the library is; by default that of the running Python.

    Raises:
        DataError: This Python came without its source files.
    """
    root = Path(sysconfig.get_path("stdlib") if folder is None else folder)
    files = {path.relative_to(root).as_posix(): path for path in _find_source_files(root)}
    texts = [_read_plain_text(files[name]) for name in sorted(files, key=_hash_name)]
    kept = [text for text in texts if text]
    if not kept:
        what = "this Python came without the source files of its standard library"
        raise DataError(Problem("", "", what, "name a text of your own with --input_file"))
    text = "".join(kept)
    version = platform.python_version()
    size_mb = len(text) / 1e6
    description = f"the Python {version} standard library ({len(kept)} files, {size_mb:.1f} MB)"
    return Corpus(text, description)


def is_standard_library(description: str) -> bool:
    """Tell whether a text is that of `standard_library_text`, of whatever Python."""
    return re.match(r"the Python \S+ standard library ", description) is not None


def _find_source_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _LEFT_OUT:
                yield from _find_source_files(path)
        # _sysconfigdata*.py says how this one Python was built, and where; a link may lead nowhere
        elif path.suffix == ".py" and not path.name.startswith("_sysconfigdata") and path.is_file():
            yield path


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _read_plain_text(path: Path) -> str:
    """Give the file's text with a newline at its end, or "" where it is not plain ASCII."""
    data = path.read_bytes().replace(b"\r\n", b"\n")
    if not data or data.translate(None, _CHARACTERS):
        return ""
    return data.decode("ascii").rstrip("\n") + "\n"
