"""What interrupted processes have left in and beside a bundle, without changing any of it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import HIDDEN_FOLDER, MANIFEST, is_folder
from mypt.format.storage.generations import find_tagged_files, read_manifest
from mypt.format.storage.lock import LOCK_FILE, MAX_NOTE_BYTES, parse_owner
from mypt.format.storage.operating_system import is_running
from mypt.format.storage.succession import is_interrupted, successor_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEFTOVER, WRITING = "leftover", "locked"


def find_leftovers(folder: Path) -> Iterator[Problem]:
    """Yield a note for each thing that an interrupted process has left of a bundle.

    Args:
        folder: The bundle; it may be missing.

    Raises:
        OSError: A folder cannot be listed.
    """
    if is_folder(folder):
        yield from _find_tagged(folder)
        yield from _find_lock(folder / LOCK_FILE, folder)
    if is_folder(folder.parent):
        for path in sorted(folder.parent.iterdir()):
            found = HIDDEN_FOLDER.fullmatch(path.name)
            if found and found[1] == folder.name:
                yield _explain_hidden(path, folder)


def _find_tagged(folder: Path) -> Iterator[Problem]:
    try:
        manifest = read_manifest(folder)
    except (FormatError, OSError):
        manifest = None
    for path, name, generation, is_drop in sorted(find_tagged_files(folder)):
        is_current = manifest is not None and generation == manifest.generation
        is_listed = manifest is not None and name in (*manifest.files, MANIFEST)
        what, fix = "is left of a save that was interrupted", "nothing: the next save removes it"
        if is_current and is_listed and not is_drop:
            what, fix = f"still waits to be renamed to {name}", "nothing: the next save does it"
        yield _make_note(path, what, fix)


def _find_lock(path: Path, folder: Path) -> Iterator[Problem]:
    """Yield what a lock's file says; the lock itself is not tried, which could stop a run."""
    try:
        note = path.read_bytes()[:MAX_NOTE_BYTES]
    except FileNotFoundError:
        return
    except OSError:
        note = b""
    owner = parse_owner(note)
    if owner is None:
        yield _make_note(path, "is a lock without an owner", "nothing: the next run takes it over")
        return
    if owner.host == socket.gethostname() and not is_running(owner.pid):
        what = f"is the lock of {owner}, which has ended"
        yield _make_note(path, what, "nothing: the next run takes it over")
        return
    what, fix = f"is being written by {owner}", "wait until it ends, then check again"
    yield Problem(str(folder), "", what, fix, kind=WRITING, severity="note")


def _explain_hidden(path: Path, folder: Path) -> Problem:
    what, fix = "is left of a process that was killed", "remove it"
    if path == successor_path(folder):
        what = "is left of a fall-back that was killed before it changed anything"
        if is_interrupted(folder):
            what = f"is what {folder.name} is to be, by a fall-back that was killed"
            fix = f"finish that: mypt train --model_name {folder.name}"
    return _make_note(path, what, fix)


def _make_note(path: Path, what: str, fix: str) -> Problem:
    return Problem(str(path), "", what, fix, kind=LEFTOVER, severity="note")
