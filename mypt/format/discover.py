"""Find checkpoints and presets in a folder tree."""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mypt.format.bundle.detect import classify
from mypt.format.errors import FormatError
from mypt.format.storage import files
from mypt.format.storage.files import HIDDEN_FOLDER, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mypt.format.readers.contract import ReaderFactory

# A JSON file with one of these fields is taken for a preset.
_ARCHITECTURE = frozenset({"n_layer", "n_head", "n_embd", "block_size"})
_MOST_VISITS = 2000  # to name some checkpoints of a folder that may be a whole disk


class EntryKind(Enum):
    """What lies in a tree."""

    CHECKPOINT = "a folder that is a checkpoint, damaged or not, or a file of weights"
    LINK = "a link to such a folder"
    FILE = "another file"
    UNREADABLE = "what cannot be looked into"


class Entry(NamedTuple):
    """A place in a tree, and what lies there."""

    path: Path
    kind: EntryKind


def walk(root: Path, readers: Iterable[ReaderFactory]) -> Iterator[Entry]:
    """Walk through a tree, sorted by name; nothing inside a checkpoint is looked at.

    Args:
        root: A folder, or a file. It is a checkpoint itself, or stands for what it holds.
        readers: Readers of other formats.

    Yields:
        All but folders that are no checkpoints; links to folders are not followed.
    """
    return (entry for entry in _visit(root, readers) if entry is not None)


def find_checkpoints(root: Path, readers: Iterable[ReaderFactory]) -> Iterator[Path]:
    """Find the checkpoints of a tree, and what may hold some and cannot be looked into.

    Args:
        root: A folder, or a file.
        readers: Readers of other formats.

    Yields:
        Folders and files, sorted by name.
    """
    wanted = (EntryKind.CHECKPOINT, EntryKind.UNREADABLE)
    return (entry.path for entry in walk(root, readers) if entry.kind in wanted)


def find_to_validate(path: Path, readers: Iterable[ReaderFactory]) -> Iterator[Path]:
    """Find what can be validated: the path itself, or every checkpoint and preset below it.

    Args:
        path: A file or a folder. A folder that is not a checkpoint stands for those inside it.
        readers: Readers of other formats.

    Yields:
        Folders and files, sorted by name; `path` itself if there are none.
    """
    below = (
        entry.path
        for entry in walk(path, readers)
        if entry.kind in (EntryKind.CHECKPOINT, EntryKind.UNREADABLE) or _is_preset(entry)
    )
    first = next(below, None)
    yield path if first is None else first
    yield from below


def find_some(folder: Path, readers: Iterable[ReaderFactory], most: int) -> list[Path]:
    """Find up to `most` checkpoints of a tree, looking at a limited number of places."""
    near = islice(_visit(folder, readers), _MOST_VISITS)
    found = (entry.path for entry in near if entry and entry.kind is EntryKind.CHECKPOINT)
    return list(islice(found, most))


def _visit(root: Path, readers: Iterable[ReaderFactory]) -> Iterator[Entry | None]:
    """Yield what `walk` yields, and None for each folder that is no checkpoint."""
    waiting = [root]  # no recursion: a deep tree would exceed its limit
    while waiting:
        path = waiting.pop()
        try:
            kind = _recognise(path, readers, is_root=path is root)
            if kind is None and (path is root or not path.is_symlink()):
                waiting += reversed(_list_entries(path))
        except OSError:  # opening it will report why
            kind = EntryKind.UNREADABLE
        yield None if kind is None else Entry(path, kind)


def _recognise(path: Path, readers: Iterable[ReaderFactory], *, is_root: bool) -> EntryKind | None:
    """Return what lies at a path; None for a folder that is no checkpoint, and a link to one.

    Raises:
        OSError: A folder cannot be looked into.
    """
    if not is_folder(path):
        is_named = is_root or path.suffix.lower() in files.WEIGHTS
        is_checkpoint = is_named or _is_of_plugin(path, readers)
        return EntryKind.CHECKPOINT if is_checkpoint else EntryKind.FILE
    is_checkpoint = _is_checkpoint(path, readers)
    if path.is_symlink() and not is_root:
        return EntryKind.LINK if is_checkpoint else None
    return EntryKind.CHECKPOINT if is_checkpoint else None


def _is_of_plugin(path: Path, readers: Iterable[ReaderFactory]) -> bool:
    """Return whether the reader of a plugin recognises a file, whatever its name.

    The readers of mypt are not asked: the names of their files end in one of `WEIGHTS`.
    """
    return any(reader.offered_by and reader.recognises(path) for reader in readers)


def _list_entries(folder: Path) -> list[Path]:
    """List a folder, sorted by name, without leftovers of killed mypt processes."""
    return sorted(path for path in folder.iterdir() if not HIDDEN_FOLDER.fullmatch(path.name))


def _is_checkpoint(folder: Path, readers: Iterable[ReaderFactory]) -> bool:
    form = classify(folder)
    if form == "incomplete" and _is_of_others(folder / files.CONFIG):
        form = "other"
    if form != "other" or files.find_misnamed(folder):
        return True
    return any(reader.recognises(folder) for reader in readers)


def _is_of_others(config: Path) -> bool:
    """Return whether a config.json is that of a program which has nothing to do with models."""
    try:
        document, _ = files.read_document(config, str(config))
    except (FormatError, OSError):
        return False
    return document.keys().isdisjoint(_ARCHITECTURE)


def _is_preset(entry: Entry) -> bool:
    """Return whether this is a JSON file with fields of a preset, or a broken one."""
    if entry.kind is not EntryKind.FILE or entry.path.suffix != ".json":
        return False
    try:
        document, _ = files.read_document(entry.path, str(entry.path))
    except (FormatError, OSError):
        return True
    return not document.keys().isdisjoint(_ARCHITECTURE)
