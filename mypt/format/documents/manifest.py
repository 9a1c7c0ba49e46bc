"""The commit record of a bundle."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

# What a plugin may be needed for, as `needed_for` in `plugins` says.
READ, GENERATE, TRAIN = PURPOSES = ("read", "generate", "train")


@frozen(kw_only=True)
class FileRecord:
    """Size and digest of one file of a generation."""

    size_bytes: int
    sha256: str
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Manifest:
    """Commit record: `manifest.json`.

    Attributes:
        documents: The JSON documents as they were saved, by name; long ones are left out.
        checksum: SHA-256 of the file with these digits set to zeros; None if written by hand.
    """

    generation: int
    files: Mapping[str, FileRecord]
    written_by: str = ""
    plugins: Mapping[str, Any] = field(factory=dict)
    documents: Mapping[str, Any] = field(factory=dict)
    checksum: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)
