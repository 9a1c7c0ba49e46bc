"""Data sources: forms of files with texts to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, BinaryIO, Protocol

from attrs import field, frozen

from mypt.plugins.contracts.factory import JsonSchema, Options, VersionedFactory

if TYPE_CHECKING:
    from pathlib import Path


class SourceFile(Protocol):
    """A file or folder that a user names, or a file of such a folder, for what may read it.

    Attributes:
        path: Its path; `Path("-")` for the standard input.
        name: Its base name without the suffix of a compression: `a.jsonl` for `a.jsonl.gz`.
        is_folder: Whether it is a folder.
        head: Its first bytes, unpacked, up to 4096; none of a folder.
    """

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def is_folder(self) -> bool: ...  # noqa: D102
    @property
    def head(self) -> bytes: ...  # noqa: D102

    def open(self) -> BinaryIO:
        """Open it from its beginning; a compressed file yields what it was made of.

        Reading raises a `DataError` where a compressed file is damaged. It can be sought in; but in
        a compressed file, a place before the current one is reached by beginning anew.
        """
        ...


# A text; one that may not fit into memory as the pieces of it.
Document = str | Iterable[str]


@frozen
class DataSourceFactory(VersionedFactory):
    """A form of files with texts to train on that a plugin reads; see also `VersionedFactory`.

    Attributes:
        name: Its name in `data_source` of a training config, and in messages.
        recognises: Returns whether it reads a file or folder, by its name and its first bytes.
            Asked about each file or folder that a user names, and about what is in a folder that
            nobody reads as a whole; mypt's own sources first, but `text`, which reads all that
            nobody else does, last.
        read: Yields the documents of a file or folder, in order, with options that match `options`;
            called again for each pass, with the same result. It reads as it goes, so that memory
            stays flat. Empty documents are left out by mypt.
        options: JSON Schema of `data_options`.
    """

    name: str
    recognises: Callable[[SourceFile], bool] = field(kw_only=True)
    read: Callable[[SourceFile, Options], Iterable[Document]] = field(kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)
