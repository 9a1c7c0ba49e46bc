"""The files of a bundle: their names, and reading their bytes."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mypt.format.errors import FormatError, Problem
from mypt.format.schema import strict_json
from mypt.format.storage.mistaken import START_BYTES, explain_start

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TRAINING_STATE = "training_state.json"
# Folders under this name are being written, checked or removed.
HIDDEN_FOLDER = re.compile(r"\.(.+)\.mypt-(waiting|preflight|removed|successor|export)")
MODEL = "model.pt"
OPTIMIZER = "optimizer.pt"
MANIFEST = "manifest.json"
BUNDLE_FILES = (CONFIG, TOKENIZER, TRAINING_STATE, MODEL, OPTIMIZER)
# Suffixes of files of weights, of any program.
WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors", ".gguf")
# The limit for documents without a vocabulary.
MAX_SMALL_BYTES = 4 * 1024 * 1024
_SMALL_FILES = (CONFIG, TRAINING_STATE, MANIFEST)
_CHUNK_BYTES = 1 << 20
# What Windows says of a link that leads round in a circle, and of a name that no file can have: all
# its errors that no other system has come with one `errno`.
_CIRCLE_ON_WINDOWS = 1921
_NO_NAME_ON_WINDOWS = 123
# What makes of a name the path of something elsewhere, on any system, or no name at all.
_NOT_IN_NAMES = frozenset("/\\:\0")


class MappedFiles:
    """Files that are mapped to memory; what is changed there does not change the files."""

    def __init__(self) -> None:
        """Begin without a file."""
        self._maps: list[mmap.mmap] = []

    def map(self, stream: BinaryIO, size: int) -> mmap.mmap:
        """Map an open file, whatever becomes of its name meanwhile.

        Args:
            stream: The file.
            size: How many of its bytes are mapped, from the first; not 0.

        Raises:
            ValueError: It has become shorter.
            OSError: It cannot be mapped.
        """
        self._maps.append(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY))
        return self._maps[-1]

    def release(self) -> None:
        """Give back the memory of all files; what is used after that is read again.

        It is for those who compute one tensor from another: without it, the file would take memory
        beside the outcome. What was changed in memory is lost.
        """
        if sys.platform != "win32":  # which trims by itself
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)


def open_regular(path: Path, file: str) -> BinaryIO:
    """Open a regular file for reading; a folder, pipe or device, which could block, is rejected.

    Args:
        path: The file, or a link to one.
        file: Its name, for messages.

    Raises:
        FormatError: It is not a regular file, and was not opened.
        OSError: It cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        what, fix = "is not a regular file", "put a file in its place"
        raise FormatError(Problem(file, "", what, fix, kind="file"))
    return path.open("rb")


def is_file_name(name: object) -> bool:
    """Return whether a value, such as one that a file names another by, stays in its folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and not _NOT_IN_NAMES & {*name}


def read_document(path: Path, file: str) -> tuple[dict[str, Any], bytes]:
    """Read a JSON document; return it parsed, and its bytes.

    Raises:
        FormatError: It is not a regular file, or `strict_json.parse` rejects it.
        OSError: It cannot be read.
    """
    most = MAX_SMALL_BYTES if path.name in _SMALL_FILES else strict_json.MAX_JSON_BYTES
    with open_regular(path, file) as stream:
        data = stream.read(most + 1)
        size = stream.seek(0, 2)
    if problem := explain_start(data[:START_BYTES], file, "json"):
        raise FormatError(problem)
    if size > most:
        what, fix = f"is {size} bytes, more than the {most} allowed here", "restore the file"
        raise FormatError(Problem(file, "", what, fix, kind="json"))
    return strict_json.parse(data, file), data


def find_misnamed(folder: Path, names: Iterable[str] = (*BUNDLE_FILES, MANIFEST)) -> dict[str, str]:
    """Find the files of a folder that are named like others but for the case.

    Args:
        folder: The folder.
        names: In small letters, the names to look for; by default those of a bundle.

    Returns:
        What each should be called, by what it is called.

    Raises:
        OSError: The folder cannot be listed.
    """
    there = {path.name for path in folder.iterdir()}
    right = frozenset(names)
    wanted = {name: name.lower() for name in sorted(there) if name.lower() in right}
    return {name: lowered for name, lowered in wanted.items() if lowered not in there}


def misnamed_problem(path: Path, right: str) -> Problem:
    """Describe a file that would be read under the name that is `right`."""
    what = f"would be read if it were called `{right}`"
    return Problem(str(path), "", what, "rename it", kind="file.misnamed")


def digest_file(path: Path, file: str) -> str:
    """Return the SHA-256 of a file in hexadecimal, reading a chunk at a time.

    Raises:
        FormatError: It is not a regular file.
        OSError: It cannot be read.
    """
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with open_regular(path, file) as stream:
        while length := stream.readinto(buffer):  # type: ignore[attr-defined]
            sha256.update(buffer[:length])
    return sha256.hexdigest()


def have_equal_bytes(one: tuple[Path, int], other: tuple[Path, int], size: int, file: str) -> bool:
    """Return whether two stretches of files hold the same bytes, reading a chunk at a time.

    Args:
        one: A file, and the first byte of the stretch in it.
        other: The same or another file, likewise.
        size: Length of both in bytes.
        file: What messages call the files.

    Returns:
        False also where one of them was truncated in the meantime.

    Raises:
        FormatError: One is not a regular file.
        OSError: One cannot be read.
    """
    with open_regular(one[0], file) as first, open_regular(other[0], file) as second:
        first.seek(one[1])
        second.seek(other[1])
        for done in range(0, size, _CHUNK_BYTES):
            wanted = min(_CHUNK_BYTES, size - done)
            chunk = first.read(wanted)
            if len(chunk) < wanted or chunk != second.read(wanted):
                return False
    return True


def has_zero_bytes(place: tuple[Path, int], size: int, file: str) -> bool:
    """Return whether a stretch of a file holds only zeros, reading a chunk at a time.

    Args:
        place: A file, and the first byte of the stretch in it.
        size: Its length in bytes.
        file: What messages call the file.

    Raises:
        FormatError: It is not a regular file.
        OSError: It cannot be read.
    """
    with open_regular(place[0], file) as stream:
        stream.seek(place[1])
        sizes = (min(_CHUNK_BYTES, size - done) for done in range(0, size, _CHUNK_BYTES))
        return all(stream.read(wanted) == bytes(wanted) for wanted in sizes)


def real_path(path: Path) -> Path:
    """Return where a path leads, absolute and without links; one in a circle stays as it is.

    `Path.resolve` raises a RuntimeError for a circle up to Python 3.12.
    """
    return Path(os.path.realpath(path))


def ensure_basename(path: Path) -> Path:
    """Return a path that ends in a name, resolving `.` and `..`; that of the root has none."""
    return path if path.name not in ("", "..") else real_path(path)


def beside(path: Path, pattern: str) -> Path:
    """Return a path in the same folder, whose name is made of the name of another.

    Args:
        path: The other one; `.` and `..` are resolved.
        pattern: Such as `{}_gold`.
    """
    named = ensure_basename(path)
    return named.parent / pattern.format(named.name)


def is_present(path: Path) -> bool:
    """Return whether a path exists, even one that cannot be read, such as a link to itself.

    Raises:
        PermissionError: Its folder cannot be looked into, which the error names: what the file
            itself permits is no reason.
        OSError: The disk does not tell. Neither answer would be true, and what is written
            depends on it.
    """
    return _find_mode(path) is not None


def is_regular_file(path: Path) -> bool:
    """Return whether a path is a file, and no folder or device.

    Raises:
        OSError: As `is_present`.
    """
    return stat.S_ISREG(_find_mode(path) or 0)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder.

    Raises:
        OSError: As `is_present`.
    """
    return stat.S_ISDIR(_find_mode(path) or 0)


def _find_mode(path: Path) -> int | None:
    """Return type and permissions of what is at a path; None for nothing, 0 for a circle.

    `Path.exists` and the like say no to every error from Python 3.14 on.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a name with a zero
        return None
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, str(path.parent)) from error
    except OSError as error:
        number = getattr(error, "winerror", None)
        if number == _NO_NAME_ON_WINDOWS:
            return None
        if error.errno == errno.ELOOP or number == _CIRCLE_ON_WINDOWS:
            return 0 if path.is_symlink() else None  # else the circle is on the way to it
        raise


def unreadable_problem(error: OSError, file: str) -> Problem:
    """Describe a failure to read a file."""
    what = f"cannot be read: {error.strerror or error}"
    return Problem(file, "", what, "check its permissions and the disk", kind="file")
