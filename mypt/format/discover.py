"""Find the checkpoints and presets of a whole tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mypt.format.errors import FormatError
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mypt.format.readers.contract import ReaderFactory

_WEIGHTS = (".pt", ".safetensors")
# Folders under this name are being written, checked or removed.
_LEFTOVERS = re.compile(r"\..+\.mypt-(?:waiting|preflight|removed)")
# A JSON file with one of these is meant as a preset.
_ARCHITECTURE = frozenset({"n_layer", "n_head", "n_embd", "block_size"})


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder is a bundle of version 1 or 2, whatever its state."""
    if any((folder / name).is_file() for name in (files.MANIFEST, files.MODEL)):
        return True
    if not (folder / files.CONFIG).is_file():
        return False
    try:
        config, _ = files.read_document(folder / files.CONFIG, files.CONFIG)
    except (FormatError, OSError):
        return True
    if "format_version" in config:
        return True
    return "model_type" not in config and "architectures" not in config  # Hugging Face's have both


def find_checkpoints(path: Path, readers: Iterable[ReaderFactory]) -> Iterator[Path]:
    """Find what can be validated: the path itself, or all that is below it.

    Args:
        path: A file or a folder. A folder that is no checkpoint stands for those inside it.
        readers: Readers of other formats.

    Yields:
        Folders and files, in the order of their names; `path` itself where there are none.
    """
    below = iter(()) if _is_checkpoint(path, readers) else _find_below(path, readers)
    first = next(below, None)
    yield path if first is None else first
    yield from below


def _find_below(folder: Path, readers: Iterable[ReaderFactory]) -> Iterator[Path]:
    waiting = [folder]  # not by recursion, which a deep tree would exhaust
    while waiting:
        path = waiting.pop()
        try:
            if path is folder or (path.is_dir() and not _is_checkpoint(path, readers)):
                waiting += reversed(list_entries(path))
            elif path.is_dir() or path.suffix in _WEIGHTS or _is_preset(path):
                yield path
        except OSError:  # whoever opens it is told why
            yield path


def list_entries(folder: Path) -> list[Path]:
    """List a folder in the order of names.

    Without links to folders, which may lead back up, and what killed processes of mypt left.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if not (path.is_symlink() and path.is_dir()) and not _LEFTOVERS.fullmatch(path.name)
    )


def ensure_basename(path: Path) -> Path:
    """Give a path that ends in a name, also for `.` and `..`."""
    return path if path.name not in ("", "..") else path.resolve()


def _is_checkpoint(path: Path, readers: Iterable[ReaderFactory]) -> bool:
    if not path.is_dir() or is_bundle(path):
        return True
    return any(reader.recognises(path) for reader in readers)


def _is_preset(path: Path) -> bool:
    """Tell whether this is a JSON file with fields of a preset; a broken one may have had them."""
    if path.suffix != ".json":
        return False
    try:
        document, _ = files.read_document(path, str(path))
    except (FormatError, OSError):
        return True
    return not document.keys().isdisjoint(_ARCHITECTURE)
