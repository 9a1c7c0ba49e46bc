"""Fill shards with ids, recording each complete one so that a crash costs at most one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from attrs import evolve

from mypt.data.prepare.progress import Position
from mypt.data.prepare.shard_writer import ShardWriter
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mypt.data.metadata import DataFile
    from mypt.data.prepare.pieces import Piece
    from mypt.data.prepare.progress import Progress
    from mypt.data.prepare.segments import Segment

DTYPES = {"<u2": "uint16", "<u4": "uint32"}
_CHUNK = 1 << 18  # ids hashed at once


class ShardFiller:
    """Writes the shards of a data set one after another.

    Attributes:
        progress: What has been written; saved to disk after each shard.
    """

    def __init__(
        self,
        folder: Path,
        dtype: str,
        tokens_per_shard: int,
        segments: Sequence[Segment],
        progress: Progress,
    ) -> None:
        """Continue where `progress` ends.

        Args:
            folder: The data set.
            dtype: Numpy dtype of the ids.
            tokens_per_shard: Number of ids in a full shard.
            segments: The segments to be read.
            progress: What has been written.
        """
        self.progress = progress
        self._folder, self._dtype = folder, dtype
        self._tokens_per_shard = tokens_per_shard
        self._segments = segments
        self._before = np.cumsum([0, *(segment.size_bytes for segment in segments)])
        self._done = progress.position.ids_done
        self._split: str | None = None
        self._shard: ShardWriter | None = None

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish the last shard; after an error abandon it, to be written again."""
        if kind is None:
            self._finish_shard(Position(len(self._segments)))
        elif self._shard is not None:
            self._shard.abandon()

    def add(self, piece: Piece, ids: NDArray[np.uint32]) -> tuple[int, int]:
        """Write the ids of the next piece.

        Returns:
            Bytes of text done so far, and bytes in total.
        """
        segment = self._segments[piece.segment]
        if segment.split != self._split:
            self._finish_shard(Position(piece.segment, piece.start, self._done))
            self._split = segment.split
        done, self._done = self._done, 0  # ids of the first piece that were written before
        while done < len(ids):
            shard = self._open_shard(segment.split)
            some = ids[done : done + self._tokens_per_shard - shard.tokens]
            shard.write(some)
            done += len(some)
            if shard.tokens == self._tokens_per_shard:
                self._finish_shard(Position(piece.segment, piece.start, done))
        share = (piece.end - segment.start) / (segment.end - segment.start)
        so_far = int(self._before[piece.segment]) + round(share * segment.size_bytes)
        return so_far, int(self._before[-1])

    def _open_shard(self, split: str) -> ShardWriter:
        if self._shard is None:
            name = f"{split}/shard_{len(self.progress.files):05d}.bin"
            self._shard = ShardWriter(self._folder, name, self._dtype)
        return self._shard

    def _finish_shard(self, position: Position) -> None:
        if self._shard is None:
            return
        files = (*self.progress.files, self._shard.finish())
        self._shard = None
        self.progress = evolve(self.progress, files=files, position=position)
        self.progress.save(self._folder)


def describe_shards(
    folder: Path, files: Sequence[DataFile], dtype: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of a data set of shards.

    Args:
        folder: The data set.
        files: Its shards, in order.
        dtype: Numpy dtype of their ids.
        about: What the metadata say besides counts, digests and files.
    """
    train = [file for file in files if file.name.startswith("train/")]
    return {
        "format_version": FORMAT_VERSION,
        "total_tokens": sum(file.tokens or 0 for file in files),
        "train_tokens": sum(file.tokens or 0 for file in train),
        "total_shards": len(files),
        "train_shards": len(train),
        "val_shards": len(files) - len(train),
        **about,
        "data_sha256": data_sha256(folder, files, dtype),
        "files": [file.document() for file in files],
    }


def data_sha256(folder: Path, files: Iterable[DataFile], dtype: str) -> str:
    """Return the SHA-256 of the ids in shards, in order, each as a little-endian uint32."""
    digest = hashlib.sha256()
    for file in files:
        ids = np.memmap(folder / file.name, dtype, mode="r")
        for start in range(0, len(ids), _CHUNK):
            digest.update(np.ascontiguousarray(ids[start : start + _CHUNK], "<u4").data)
    return digest.hexdigest()
