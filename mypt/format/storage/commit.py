"""Save a bundle so that exactly one complete generation of it can be read at every instant.

New files are written beside the old ones under names that carry their generation, and are hashed
on the way and flushed to disk. Replacing `manifest.json` is the commit: before it, a reader sees
the previous generation; after it, the new one. Then the files get their stable names.
`generations.py` describes how a reader and the next writer treat an interrupted commit.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mypt.format.documents.manifest import FileRecord, Manifest
from mypt.format.errors import FormatError, MyptError, Problem, SaveError
from mypt.format.storage.files import MANIFEST, is_folder, is_present
from mypt.format.storage.generations import (
    drop_marker_name,
    find_tagged_files,
    may_be_listed,
    next_generation,
    read_manifest,
    removed_names,
    seal,
    tagged_name,
)
from mypt.format.storage.lock import LOCK_FILE, bundle_lock
from mypt.format.storage.operating_system import replace_file, sync_file, sync_folder
from mypt.format.storage.save_errors import make_save_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from _typeshed import SupportsWrite

    Content = bytes | Callable[[SupportsWrite[bytes | memoryview]], None]


_INTACT = "; what was saved before is intact"


@contextmanager
def open_for_writing(folder: Path, *, no_lock: bool = False) -> Iterator[BundleWriter]:
    """Lock a bundle for writing, for as long as a training run lasts.

    Args:
        folder: The bundle; created if it does not exist, and removed again if nothing is saved.
        no_lock: Whether to go on where the file system has no locks; see `file_lock`.

    Yields:
        The writer; it cannot save any more once the block ends.

    Raises:
        LockedError: Another process is writing to it.
        SaveError: The folder cannot be created or written, or its file system has no locks.
    """
    with ExitStack() as stack:
        try:
            if not is_folder(folder):
                stack.callback(_remove_if_empty, folder)
                _make_folder(folder)
            warning = stack.enter_context(bundle_lock(folder, no_lock=no_lock))
            writer = BundleWriter(folder, warning)
        except OSError as error:
            raise make_save_error(folder, error, _INTACT) from error
        stack.callback(writer.close)
        yield writer


class BundleWriter:
    """The only object that may save to a bundle; created by `open_for_writing` alone.

    Attributes:
        folder: The bundle.
        warning: What to warn the user of where its file system has no locks; else None.
    """

    def __init__(self, folder: Path, warning: str | None) -> None:
        """Start from a bundle whose lock is held, or that has none."""
        self.folder = folder
        self.warning = warning
        self._locked = folder.stat()
        self._held = True

    def commit(
        self,
        files: Mapping[str, Content],
        *,
        written_by: str,
        plugins: Mapping[str, Any] | None = None,
        documents: Mapping[str, Any] | None = None,
        check: Callable[[Mapping[str, Path]], None] | None = None,
    ) -> Manifest:
        """Make these files the next generation of the bundle: all of them or none.

        Files of the previous generation that are not among them are removed. Files that mypt does
        not own are left alone. Whatever an interrupted commit left behind is cleaned up first.

        Args:
            files: The bytes, or a function that writes them, by stable name.
            written_by: Program and version.
            plugins: What the bundle needs, as `manifest.json` has it.
            documents: What the JSON documents say, as `manifest.json` has it.
            check: Called before the commit with the current path of each file by stable name; if
                it raises, nothing is committed.

        Returns:
            The manifest of the new generation.

        Raises:
            SaveError: Writing failed, or the folder was moved; the previous generation is intact.
            FormatError: The manifest of the previous generation is damaged or of a newer version.
            ValueError: There is a name that no manifest may list (a caller's bug).
        """
        if not self._held or not files or not all(map(may_be_listed, files)):
            message = f"cannot commit {sorted(files)} to {self.folder}"
            raise ValueError(message)
        self._check_unmoved()
        try:
            before = read_manifest(self.folder)
            clean_up(self.folder, before)
            generation = next_generation(before, str(self.folder / MANIFEST))
            records = {
                name: write_file(self.folder / tagged_name(name, generation), content)
                for name, content in files.items()
            }
            if check is not None:
                check({name: self.folder / tagged_name(name, generation) for name in files})
            manifest, data = seal(
                Manifest(
                    generation=generation,
                    files=records,
                    written_by=written_by,
                    plugins=plugins or {},
                    documents=documents or {},
                )
            )
            self._put_manifest(data, generation, removed_names(before, files))
        except BaseException as error:
            with suppress(OSError, FormatError):
                clean_up(self.folder, read_manifest(self.folder))
            if isinstance(error, OSError):
                raise make_save_error(self.folder, error, _INTACT) from error
            raise
        with suppress(OSError):  # it is saved; the next commit does what is left
            clean_up(self.folder, manifest)
        return manifest

    def close(self) -> None:
        """Make any further commit an error."""
        self._held = False

    def _check_unmoved(self) -> None:
        """Raise if the path no longer leads to the locked folder; another may be there by now."""
        try:
            there = self.folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            there = None
        if there is None or not os.path.samestat(there, self._locked):
            what = "was moved or removed while a run was writing to it"
            fix = "resume from where it is now; what was saved there is intact"
            raise SaveError(Problem(str(self.folder), "", what, fix, kind="save.moved"))

    def _put_manifest(self, data: bytes, generation: int, removed: list[str]) -> None:
        """Replace the manifest, with everything it refers to on disk before and after."""
        for name in removed:
            write_file(self.folder / drop_marker_name(name, generation), b"")
        waiting = self.folder / tagged_name(MANIFEST, generation)
        write_file(waiting, data)
        sync_folder(self.folder)
        replace_file(waiting, self.folder / MANIFEST)
        sync_folder(self.folder)


def clean_up(folder: Path, manifest: Manifest | None) -> None:
    """Finish the last commit's renames, and remove what failed commits left behind.

    What cannot be done now (a file that Windows holds open) is left for the next time: readers
    follow the manifest, and find a file that is still under its tagged name.

    Args:
        folder: The bundle, whose lock is held.
        manifest: The manifest on disk.
    """
    current = manifest.generation if manifest else 0
    tagged_now = list(find_tagged_files(folder))
    for path, name, generation, is_drop in tagged_now:
        with suppress(OSError):
            is_listed = manifest is not None and name in manifest.files
            if generation == current and is_listed and not is_drop:
                path.replace(folder / name)
                continue
            if generation == current and is_drop and not is_listed:
                (folder / name).unlink(missing_ok=True)
            path.unlink()
    if tagged_now:
        with suppress(OSError):
            sync_folder(folder)


def finish_interrupted_commit(folder: Path, *, no_lock: bool = False) -> None:
    """Finish an interrupted commit, as far as that is possible now."""
    with suppress(MyptError, OSError):  # if another process is writing there, it will do it
        if any(find_tagged_files(folder)) or is_present(folder / LOCK_FILE):
            with open_for_writing(folder, no_lock=no_lock):
                clean_up(folder, read_manifest(folder))


class _HashingFile:
    """An open file that counts and hashes what is written to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`; the system may accept it in parts."""
        left = memoryview(data).cast("B")
        self._sha256.update(left)
        self._size_bytes += len(left)
        while left:
            left = left[os.write(self._descriptor, left) :]

    @property
    def record(self) -> FileRecord:
        """The file's entry in the manifest."""
        return FileRecord(size_bytes=self._size_bytes, sha256=self._sha256.hexdigest())


def write_file(path: Path, content: Content) -> FileRecord:
    """Write a new file, and flush it to disk.

    Raises:
        OSError: It exists already, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        file = _HashingFile(descriptor)
        if isinstance(content, bytes):
            file.write(content)
        else:
            content(file)
        sync_file(descriptor)
    finally:
        os.close(descriptor)
    return file.record


def _make_folder(folder: Path) -> None:
    if not is_folder(folder.parent):
        _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def content_digest(content: Content) -> str:
    """Return the SHA-256 of the content that a file is to have, in hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    sink = _HashSink()
    content(sink)
    return sink.hexdigest()


class _HashSink:
    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
