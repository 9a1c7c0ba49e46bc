"""A file or folder as a data source gets it, and the documents that it holds."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from attrs import field, frozen

from mypt.data.inputs.compression import drop_suffix, open_bytes
from mypt.format.errors import DataError, PluginError, Problem, format_count
from mypt.format.storage.files import is_folder, is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mypt.plugins.contracts.data_source import DataSourceFactory, Document
    from mypt.plugins.contracts.factory import Options

_HEAD_BYTES = 4096


@frozen(slots=False, eq=False)
class InputSource:
    """A file or folder, for what may read it; see `mypt.plugins.SourceFile`.

    Attributes:
        path: Its path.
        data: The bytes of what could be read only once, such as the standard input.
    """

    path: Path
    data: bytes | None = None

    @cached_property
    def name(self) -> str:
        """Its base name without the suffix of a compression."""
        return drop_suffix(self.path.name)

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.data is None and is_folder(self.path)

    @cached_property
    def head(self) -> bytes:
        """Its first bytes, unpacked, up to 4096; none of a folder."""
        if self.is_folder:
            return b""
        with self.open() as stream:
            return stream.read(_HEAD_BYTES)

    def open(self) -> BinaryIO:
        """Open it from its beginning; a compressed file yields what it was made of.

        Raises:
            DataError: It is named as a compressed file and is none, or a package is missing.
            OSError: It cannot be read.
        """
        return open_bytes(self.path) if self.data is None else io.BytesIO(self.data)

    def __str__(self) -> str:
        """Return its path."""
        return str(self.path)


@frozen(slots=False, eq=False)
class SourceDocuments:
    """The documents of a file or folder, read anew at each pass.

    Attributes:
        source: The file or folder.
        factory: What reads it.
        options: What the user says of how.
        was_named: Whether the user named it, so that it must hold a document.
        version: A digest of the sizes and times of its files when it was found.
    """

    source: InputSource
    factory: DataSourceFactory
    options: Options
    was_named: bool = True
    version: str = field(init=False)
    _counts: dict[str, int] = field(factory=dict, init=False)

    @version.default
    def _find_version(self) -> str:
        if self.source.data is not None:
            return ""
        files = sorted(_list_files(self.source))
        found = [(str(path), path.stat()) for path in files]
        lines = [f"{path}\0{one.st_size}\0{one.st_mtime_ns}\n" for path, one in found]
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def size_bytes(self) -> int:
        """About how many bytes it takes on the disk."""
        if self.source.data is not None:
            return len(self.source.data)
        return sum(path.stat().st_size for path in _list_files(self.source))

    @property
    def left_out(self) -> list[str]:
        """What the last whole pass has left out, a line each."""
        count = self._counts.get("empty", 0)
        if not count:
            return []
        verb = "is" if count == 1 else "are"
        left = format_count(count, "document")
        return [f"{self.source}: {left} without text, which {verb} left out"]

    def documents(self) -> Iterator[str]:
        """Yield the documents that are not empty.

        Raises:
            DataError: The file cannot be read, is damaged, or changed since it was found.
            PluginError: Its source fails.
        """
        count = empty = 0
        try:
            for document in self.factory.read(self.source, self.options):
                text = self._join(document)
                count += bool(text)
                empty += not text
                if text:
                    yield text
        except OSError as error:
            what = f"cannot be read ({error.strerror or error})"
            self._raise_error(what, "check the path and its permissions")
        if self._find_version() != self.version:
            fix = "run the same command again once nothing writes to it"
            self._raise_error("changed while it was read", fix)
        if self.was_named and not count:
            self._raise_error("contains no text", "name a file that contains text")
        self._counts["empty"] = empty

    def _join(self, document: Document) -> str:
        text = document if isinstance(document, str) else "".join(self._check_pieces(document))
        try:
            text.isascii() or text.encode()  # costs less than what is done with it
        except UnicodeEncodeError:
            what = f"has half of a surrogate pair in a document: {text[:20]!r}"
            self._raise_error(what, "correct it there")
        return text

    def _check_pieces(self, pieces: Any) -> Iterable[str]:
        is_one = isinstance(pieces, (bytes, bytearray, Mapping)) or not hasattr(pieces, "__iter__")
        for piece in (pieces,) if is_one else pieces:
            if not isinstance(piece, str):
                what = f"the data source `{self.factory.name}` returns {piece!r:.40} as a text"
                raise PluginError(Problem(str(self.source), "", what, "update its package"))
            yield piece

    def _raise_error(self, what: str, fix: str) -> NoReturn:
        raise DataError(Problem(str(self.source), "", what, fix, kind="data.text"))


def _list_files(source: InputSource) -> Iterator[Path]:
    if source.is_folder:
        return (path for path in source.path.rglob("*") if is_regular_file(path))
    return iter((source.path,))
