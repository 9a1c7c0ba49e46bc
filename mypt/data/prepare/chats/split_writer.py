"""Write the episodes of a split."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np

from mypt.data.dataset import INDEX_FILE, MASK_FILE, TOKENS_FILE, WEIGHTS_FILE
from mypt.data.metadata import DataFile
from mypt.format.storage import files
from mypt.format.storage.atomic_file import flush_to_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.data.prepare.chats.rendering import RenderedChat


class SplitWriter:
    """Writes the files of one split.

    Attributes:
        tokens: Number of ids so far.
        episodes: Number of episodes so far.
    """

    def __init__(self, folder: Path, split: str) -> None:
        """Make the folder and begin its files."""
        self._folder = folder / split
        self._folder.mkdir()
        names = (TOKENS_FILE, MASK_FILE, WEIGHTS_FILE, INDEX_FILE)
        self._streams = {name: (self._folder / name).open("wb") for name in names}
        self._highest = 0
        self._is_whole = True
        self.tokens = self.episodes = 0

    def add(self, rendered: RenderedChat) -> None:
        """Write an episode."""
        ids, weights = rendered.ids, rendered.weights
        parts = {
            TOKENS_FILE: ids.astype("<u4"),
            MASK_FILE: weights.astype(np.uint8),
            WEIGHTS_FILE: weights.astype("<f4"),
            INDEX_FILE: np.array([self.tokens, len(ids)], "<u8"),
        }
        for name, part in parts.items():
            self._streams[name].write(part.tobytes())
        self._is_whole &= bool(np.isin(weights, (0, 1)).all())
        self._highest = max(self._highest, int(ids.max()))
        self.tokens += len(ids)
        self.episodes += 1

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all files; of the two with weights only the one that is needed stays."""
        with ExitStack() as stack:  # closes all of them, also where one cannot be written
            for stream in self._streams.values():
                stack.enter_context(stream)
            for stream in self._streams.values():
                flush_to_disk(stream)
        unused = WEIGHTS_FILE if self._is_whole else MASK_FILE
        del self._streams[unused]
        (self._folder / unused).unlink()

    def describe_files(self) -> Iterator[DataFile]:
        """Yield what the metadata record of each file."""
        for name in self._streams:
            path = self._folder / name
            found = path.stat()
            has_ids = name == TOKENS_FILE
            yield DataFile(
                name=f"{self._folder.name}/{name}",
                size_bytes=found.st_size,
                sha256=files.digest_file(path, name),
                mtime_ns=found.st_mtime_ns,
                tokens=self.tokens if has_ids else None,
                highest_id=self._highest if has_ids else None,
            )


def write_file(path: Path, data: bytes) -> None:
    """Write a file, and wait until it is on the disk."""
    with path.open("wb") as stream:
        stream.write(data)
        flush_to_disk(stream)
