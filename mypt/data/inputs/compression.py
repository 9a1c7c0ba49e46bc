"""Read compressed files as the bytes that they were made of, a block at a time."""

from __future__ import annotations

import io
import lzma
import sys
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from attrs import frozen

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_INPUT_BYTES = 1 << 16  # of the file that are decompressed at once
_OUTPUT_BYTES = 1 << 20  # kept of them at once
_ZSTD_INPUT_BYTES = 1 << 8  # the package takes no limit; a block of 3 bytes may become 128 KiB
_BUFFER_BYTES = 1 << 18
_GZIP_WINDOW = 31  # zlib's value for a member of gzip, with its checksum
_INSTALL_ZSTD = (
    "use a Python that was built with zstd, or unpack it first"
    if sys.version_info >= (3, 14)  # the extra installs nothing there
    else "install the package for it: pip install 'mypt-lm[zstd]'; or unpack it first"
)


class _Decompressor(Protocol):
    """What undoes one stream, as the standard library's decompressors do."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


@frozen
class Compression:
    """A way to compress files.

    Attributes:
        title: Its name in messages.
        suffix: How the names of such files end.
        magic: The first bytes of each stream of such a file; several may follow one another.
        make: Makes what undoes one stream.
    """

    title: str
    suffix: str
    magic: bytes
    make: Callable[[], _Decompressor]


def find_compression(name: str) -> Compression | None:
    """Return how a file of this name is compressed; None if its name does not say that it is."""
    return next((one for one in _COMPRESSIONS if name.lower().endswith(one.suffix)), None)


def drop_suffix(name: str) -> str:
    """Return the name that a file had before it was compressed: `a.jsonl` for `a.jsonl.gz`."""
    found = find_compression(name)
    return name if found is None else name[: -len(found.suffix)]


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading; a compressed one yields what it was made of.

    Reading raises a `DataError` where it is damaged. A place before the current one is reached by
    beginning anew.

    Raises:
        DataError: It is named as a compressed file and is none, or a package is missing.
        OSError: It cannot be read.
    """
    compression = find_compression(path.name)
    if compression is None:
        return path.open("rb")
    decompressor = _make_decompressor(path, compression)
    stream = _Decompressed(path, compression, decompressor, path.open("rb"))
    return io.BufferedReader(stream, _BUFFER_BYTES)


class _Decompressed(io.RawIOBase):
    """The bytes that a compressed file was made of.

    What can fail is made before, since Python closes a half-built stream too.
    """

    def __init__(
        self, path: Path, compression: Compression, decompressor: _Decompressor, stream: BinaryIO
    ) -> None:
        super().__init__()
        self._path, self._compression = path, compression
        self._decompressor, self._stream = decompressor, stream
        self._place, self._fed, self._is_done = 0, b"", False
        self._has_begun = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._stream.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        data = self._read_some(len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            while self._skip(_OUTPUT_BYTES):
                pass
            place += self._place
        elif whence == io.SEEK_CUR:
            place += self._place
        if place < self._place:
            self._stream.seek(0)
            self._decompressor = _make_decompressor(self._path, self._compression)
            self._place, self._fed, self._is_done = 0, b"", False
            self._has_begun = False
        while self._place < place and self._skip(place - self._place):
            pass
        return self._place

    def _skip(self, most: int) -> int:
        count = len(self._read_some(min(most, _OUTPUT_BYTES)))
        self._place += count
        return count

    def _read_some(self, most: int) -> bytes:
        """Return up to so many bytes; none at the end."""
        while not self._is_done:
            if self._decompressor.eof and not self._begin_next():
                break
            try:
                data = self._decompressor.decompress(self._take_input(), most)
            except _list_errors() as error:
                self._raise_error(
                    f"is damaged: it cannot be decompressed after {self._place} bytes of "
                    f"content ({error})"
                )
            if data:
                return data
        return b""

    def _take_input(self) -> bytes:
        """Return the next bytes of the file, if the decompressor needs any."""
        if not self._decompressor.needs_input:
            return b""
        size = _ZSTD_INPUT_BYTES if self._compression is _ZSTD else _INPUT_BYTES
        data, self._fed = self._fed or self._stream.read(size), b""
        if not self._has_begun:
            self._check_begin(data)
        if not data:
            self._raise_error(
                f"is damaged: it ends in the middle, after {self._place} bytes of content"
            )
        return data

    def _check_begin(self, data: bytes) -> None:
        self._has_begun = True
        if not data.startswith(self._compression.magic):
            what = "is empty" if not data else f"is no {self._compression.title} file"
            suffix = self._compression.suffix
            fix = f"copy it again, or rename it: mypt unpacks what is named {suffix}"
            raise DataError(Problem(str(self._path), "", what, fix, kind="data.text"))

    def _begin_next(self) -> bool:
        """Begin the next stream of the file; return whether there is one."""
        left = self._decompressor.unused_data or self._stream.read(_INPUT_BYTES)
        while left and not left.strip(b"\0"):  # padding
            left = self._stream.read(_INPUT_BYTES)
        left = left.lstrip(b"\0")
        magic = self._compression.magic
        if len(left) < len(magic):
            left += self._stream.read(_INPUT_BYTES)
        if not left:
            self._is_done = True
            return False
        if not left.startswith(magic):
            self._raise_error(
                f"is damaged: something else follows its {self._place} bytes of content"
            )
        self._decompressor = _make_decompressor(self._path, self._compression)
        self._fed = left
        return True

    def _raise_error(self, what: str) -> None:
        fix = "copy it again, or compress it anew"
        raise DataError(Problem(str(self._path), "", what, fix, kind="data.text"))


def _make_decompressor(path: Path, compression: Compression) -> _Decompressor:
    try:
        return compression.make()
    except ImportError as error:
        what = f"is a {compression.title} file, which this Python cannot unpack"
        problem = Problem(str(path), "", what, _INSTALL_ZSTD, kind="data.text")
        raise DataError(problem) from error


class _Zlib:
    """zlib's decompressor with the methods of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class _Zstandard:
    """The decompressor of the package `zstandard` with the methods of the others."""

    def __init__(self) -> None:
        import zstandard

        self._inner, self._held = zstandard.ZstdDecompressor().decompressobj(), memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._inner.eof and not self._held

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._held

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        if not self._held:
            self._held = memoryview(self._inner.decompress(data))
        data, self._held = bytes(self._held[:max_length]), self._held[max_length:]
        return data


def _make_zstd() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor

        return ZstdDecompressor()
    return _Zstandard()


def _list_errors() -> tuple[type[Exception], ...]:
    """Return what decompressors raise; the package of one that is in use is imported by now."""
    packages = (sys.modules.get(name) for name in ("zstandard", "compression.zstd"))
    of_zstd = (package.ZstdError for package in packages if package is not None)
    return (zlib.error, lzma.LZMAError, EOFError, *of_zstd)


_ZSTD = Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd", _make_zstd)
_COMPRESSIONS = (
    Compression("gzip", ".gz", b"\x1f\x8b", _Zlib),
    Compression("xz", ".xz", b"\xfd7zXZ\0", lzma.LZMADecompressor),
    _ZSTD,
)
