"""The commit record of a sharded save."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from mypt.format.documents.manifest import FileRecord


@frozen(kw_only=True)
class ShardsRecord:
    """Commit record: `shards.json`.

    Attributes:
        generation: Number of this save, by which the folder with its files is called.
        files: Every file of that folder.
        checksum: SHA-256 of the file with these digits set to zeros.
    """

    generation: int
    files: Mapping[str, FileRecord]
    written_by: str = ""
    plugins: Mapping[str, Any] = field(factory=dict)
    checksum: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)
