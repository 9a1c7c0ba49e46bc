"""Save shards so that exactly one complete generation of them can be read at every instant.

All processes write into a new folder, and flush what they write. Replacing `shards.json`, which
names the folder and lists its files, is the commit: before it, a reader sees the previous
generation; after it, the new one. Then the folder of the previous one is removed.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mypt.format.documents.manifest import FileRecord
from mypt.format.documents.shards import ShardsRecord
from mypt.format.shards.places import RECORD, find_generations, generation_path
from mypt.format.shards.record import is_own_name, rank_of, read_record
from mypt.format.storage import files
from mypt.format.storage.atomic_file import partial_path, write_atomically
from mypt.format.storage.commit import write_file
from mypt.format.storage.generations import next_generation, seal
from mypt.format.storage.operating_system import sync_folder
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.tensors.torch_dcp.dcp_metadata import METADATA, read_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.storage.commit import Content


class ShardsWriter:
    """Begins and commits the sharded saves of one model, in the first process of its run.

    The lock of the model's folder is held all the time: it stands for both folders.

    Attributes:
        folder: The folder of shards.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing is written."""
        self.folder = folder
        self._generation = 0
        self._records: dict[str, FileRecord] = {}

    def begin(self, documents: Mapping[str, Content]) -> int:
        """Make the folder of the next generation, and write what one process writes.

        What interrupted saves have left is removed.

        Args:
            documents: The bytes, or a function that writes them, by file name.

        Returns:
            Its number: into its folder all processes write their parts now.

        Raises:
            SaveError: It could not be written; the previous generation is intact.
            FormatError: The record of the previous one is damaged, or has the highest number.
        """
        with raising_save_errors(self.folder):
            if not files.is_folder(self.folder):
                self.folder.mkdir()
                sync_folder(self.folder.parent)
            before = read_record(self.folder)
            current = 0 if before is None else before.generation
            self._remove_others(current)
            number = next_generation(before, str(self.folder / RECORD))
            while os.path.lexists(generation_path(self.folder, number)):  # it could not be removed
                number += 1
            self._generation = number
            made = generation_path(self.folder, number)
            made.mkdir()
            self._records = {
                name: write_file(made / name, content) for name, content in documents.items()
            }
        return self._generation

    def commit(
        self, parts: Mapping[str, FileRecord], *, written_by: str, plugins: Mapping[str, Any]
    ) -> ShardsRecord:
        """Make what was written the generation that counts, and remove the previous one.

        Args:
            parts: The files that the processes have written, flushed to disk.
            written_by: Program and version.
            plugins: What the save needs, as `shards.json` has it.

        Raises:
            SaveError: It could not be written; the previous generation is intact.
            FormatError: mypt would not read what torch has written; likewise.
        """
        made = generation_path(self.folder, self._generation)
        with raising_save_errors(self.folder):
            read_metadata(made, str(made))  # what no reader would take is not committed
            self._records |= parts
            self._records[METADATA] = record_file(made / METADATA)
            sync_folder(made)
            sync_folder(self.folder)
        record, data = seal(
            ShardsRecord(
                generation=self._generation,
                files=self._records,
                written_by=written_by,
                plugins=plugins,
            )
        )
        write_atomically(self.folder / RECORD, data)
        self._remove_others(self._generation)
        return record

    def _remove_others(self, current: int) -> None:
        """Remove the generations that do not count, as far as that is possible now."""
        with suppress(OSError):
            partial_path(self.folder / RECORD).unlink(missing_ok=True)
        for number, path in list(find_generations(self.folder)):
            if number != current:
                _remove_generation(path)


def list_parts(generation: Path, rank: int) -> dict[str, FileRecord]:
    """Return the records of the files that the process of a rank has written.

    Raises:
        OSError: One cannot be read.
    """
    return {
        path.name: record_file(path)
        for path in sorted(generation.iterdir())
        if rank_of(path.name) == rank
    }


def record_file(path: Path) -> FileRecord:
    """Return size and digest of a file, as it can be read back."""
    digest = files.digest_file(path, str(path))
    return FileRecord(size_bytes=path.stat().st_size, sha256=digest)


def remove_shards(folder: Path) -> None:
    """Remove a folder of shards whose model is saved otherwise by now; other files in it stay.

    What cannot be removed is left: it is older than the model, or as old, and does not count.

    Args:
        folder: The folder of shards; it may be missing.
    """
    removed = files.beside(folder, ".{}.mypt-removed")
    shutil.rmtree(removed, ignore_errors=True)  # what a process has left that was killed here
    if not files.is_present(folder / RECORD):
        return
    with suppress(OSError):
        if not folder.is_symlink() and all(map(_is_own, folder.iterdir())):
            folder.rename(removed)
            sync_folder(folder.parent)
            shutil.rmtree(removed)
            sync_folder(folder.parent)  # or a loss of power may bring it back
            return
        (folder / RECORD).unlink()
        sync_folder(folder)
        for _, path in list(find_generations(folder)):
            _remove_generation(path)


def _is_own(path: Path) -> bool:
    if path.name in (RECORD, partial_path(path.with_name(RECORD)).name):
        return True
    if not files.is_folder(path):
        return False
    if all(found != path for _, found in find_generations(path.parent)):
        return False
    return all(is_own_name(inner.name) for inner in path.iterdir())


def _remove_generation(path: Path) -> None:
    """Remove the files of mypt in the folder of a generation, and the folder if it has no other.

    Of a link in its place, nothing is removed but the link: who knows what it leads to.
    """
    with suppress(OSError):
        if path.is_symlink():
            path.unlink()
            return
        for file in list(path.iterdir()):
            if is_own_name(file.name):
                file.unlink()
        path.rmdir()
