"""Write token shards atomically."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from mypt.data.metadata import DataFile
from mypt.format.storage.atomic_file import flush_to_disk, partial_path, rename_partial
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class ShardWriter:
    """Writes one shard.

    Attributes:
        tokens: Number of ids so far.
    """

    def __init__(self, folder: Path, name: str, dtype: str) -> None:
        """Begin a shard.

        Args:
            folder: The data set.
            name: Path of the shard within it.
            dtype: Numpy dtype of its ids.
        """
        self._folder, self._name, self._dtype = folder, name, dtype
        self._path = folder / name
        with raising_save_errors(self._path):
            self._path.parent.mkdir(exist_ok=True)
            self._stream = partial_path(self._path).open("wb")
        self._digest = hashlib.sha256()
        self._highest = -1
        self.tokens = 0

    def write(self, ids: NDArray[np.uint32]) -> None:
        """Append ids.

        Raises:
            SaveError: They could not be written.
        """
        if len(ids):
            data = np.ascontiguousarray(ids, self._dtype)
            with raising_save_errors(self._path):
                self._stream.write(data.data)
            self._digest.update(data.data)
            self._highest = max(self._highest, int(ids.max()))
            self.tokens += len(ids)

    def finish(self) -> DataFile:
        """Rename the shard to its final name, and return its record.

        Raises:
            SaveError: It could not be written.
        """
        with raising_save_errors(self._path):
            with self._stream as stream:
                flush_to_disk(stream)
            rename_partial(self._path)
        found = self._path.stat()
        return DataFile(
            name=self._name,
            size_bytes=found.st_size,
            sha256=self._digest.hexdigest(),
            mtime_ns=found.st_mtime_ns,
            tokens=self.tokens,
            highest_id=max(self._highest, 0),
        )

    def abandon(self) -> None:
        """Close the shard, leaving it unfinished."""
        with suppress(OSError):  # what could not be written is not wanted any more
            self._stream.close()
