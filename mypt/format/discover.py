"""Find checkpoints and presets in a folder tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mypt.format.bundle.detect import classify
from mypt.format.errors import FormatError
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mypt.format.readers.contract import ReaderFactory

# Folders under this name are being written, checked or removed.
_LEFTOVERS = re.compile(r"\..+\.mypt-(?:waiting|preflight|removed)")
# A JSON file with one of these fields is taken for a preset.
_ARCHITECTURE = frozenset({"n_layer", "n_head", "n_embd", "block_size"})


def find_checkpoints(path: Path, readers: Iterable[ReaderFactory]) -> Iterator[Path]:
    """Find what can be validated: the path itself, or everything below it.

    Args:
        path: A file or a folder. A folder that is not a checkpoint stands for those inside it.
        readers: Readers of other formats.

    Yields:
        Folders and files, sorted by name; `path` itself if there are none.
    """
    below = iter(()) if _is_checkpoint(path, readers) else _find_below(path, readers)
    first = next(below, None)
    yield path if first is None else first
    yield from below


def _find_below(folder: Path, readers: Iterable[ReaderFactory]) -> Iterator[Path]:
    waiting = [folder]  # no recursion: a deep tree would exceed its limit
    while waiting:
        path = waiting.pop()
        try:
            if path is folder or (path.is_dir() and not _is_checkpoint(path, readers)):
                waiting += reversed(list_entries(path))
            elif path.is_dir() or path.suffix in files.WEIGHTS or _is_preset(path):
                yield path
        except OSError:  # opening it will report why
            yield path


def list_entries(folder: Path) -> list[Path]:
    """List a folder, sorted by name.

    Leaves out links to folders, which may lead back up, and leftovers of killed mypt processes.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if not (path.is_symlink() and path.is_dir()) and not _LEFTOVERS.fullmatch(path.name)
    )


def ensure_basename(path: Path) -> Path:
    """Return a path that ends in a name, resolving `.` and `..`."""
    return path if path.name not in ("", "..") else path.resolve()


def _is_checkpoint(path: Path, readers: Iterable[ReaderFactory]) -> bool:
    if not path.is_dir() or classify(path) != "other" or files.find_misnamed(path):
        return True
    return any(reader.recognises(path) for reader in readers)


def _is_preset(path: Path) -> bool:
    """Return whether this is a JSON file with fields of a preset, or a broken one."""
    if path.suffix != ".json":
        return False
    try:
        document, _ = files.read_document(path, str(path))
    except (FormatError, OSError):
        return True
    return not document.keys().isdisjoint(_ARCHITECTURE)
