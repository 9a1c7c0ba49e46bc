"""Plain text: each file is one document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.data.text import read_part
from mypt.format.rules.plugin_settings import TEXT
from mypt.plugins.contracts.data_source import DataSourceFactory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.plugins.contracts.data_source import Document, SourceFile
    from mypt.plugins.contracts.factory import Options


def _is_file(file: SourceFile) -> bool:
    return not file.is_folder


def _read(file: SourceFile, _: Options) -> Iterator[Document]:
    """Yield the text of a file, in pieces.

    Raises:
        DataError: It is missing, unreadable, empty or no UTF-8 text, or a package is missing.
    """
    yield read_part(file.path)


PLAIN_TEXT = DataSourceFactory(
    TEXT, recognises=_is_file, read=_read, options={"additionalProperties": False}
)
