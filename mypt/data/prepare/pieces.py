"""Read long texts in pieces that tokenize to the same ids as the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import frozen

from mypt.data.input_files import end_with_newline
from mypt.data.text import decode_piece
from mypt.format.errors import DataError, Problem
from mypt.plugins.contracts import DivisibleTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mypt.data.prepare.segments import Segment

    # Returns the first position at or after `start` where a text may be cut, or None.
    Cut = Callable[[str, int], int | None]

PIECE_BYTES = 1 << 20
_CONTINUATION = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that do not begin a character


@frozen
class Piece:
    """A piece of a segment.

    Attributes:
        path: The file.
        segment: Index of the segment.
        start: Offset of its first byte in the file.
        end: Offset just after its last byte.
        text: Its text.
    """

    path: Path
    segment: int
    start: int
    end: int
    text: str

    def place(self) -> tuple[int, int]:
        """Return how many lines of the file, and then characters, come before this piece."""
        lines, columns, left = 0, 0, self.start
        with self.path.open("rb") as stream:
            while data := stream.read(min(PIECE_BYTES, left)):
                left -= len(data)
                lines += data.count(b"\n")
                _, newline, last = data.rpartition(b"\n")
                columns = len(last.translate(None, _CONTINUATION)) + (0 if newline else columns)
        return lines, columns


def cut_anywhere(_: str, start: int) -> int:
    """Allow a cut anywhere."""
    return start


def cut_nowhere(_: str, __: int) -> None:
    """Allow no cut."""
    return


def find_cut_function(tokenizer: Any) -> Cut:
    """Return where texts may be cut for a tokenizer: nowhere, unless it has a `cut` method."""
    return tokenizer.cut if isinstance(tokenizer, DivisibleTokenizer) else cut_nowhere


def read_pieces(
    segments: Sequence[Segment], cut: Cut, number: int = 0, start: int | None = None
) -> Iterator[Piece]:
    """Yield the text of segments, one piece at a time.

    The boundaries depend only on the files, so reading may begin at any piece.

    Args:
        segments: The segments to read.
        cut: Where texts may be cut.
        number: Index of the segment to begin with.
        start: Offset of the first byte of the piece to begin with; None for the segment's start.

    Raises:
        DataError: A file cannot be read or is no UTF-8 text.
    """
    for which in range(number, len(segments)):
        segment = segments[which]
        begin = segment.start if start is None or which > number else start
        try:
            yield from _read_segment(segment, which, begin, cut)
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise DataError(Problem(str(segment.path), "", what, "check it")) from error


def _read_segment(segment: Segment, which: int, start: int, cut: Cut) -> Iterator[Piece]:
    with segment.path.open("rb") as stream:
        while start < segment.end:
            size = PIECE_BYTES
            while True:
                data = _read_exactly(stream, segment, start, min(size, segment.end - start))
                is_last = start + size >= segment.end
                text = decode_piece(data, segment.path, start, is_last=is_last)
                place = len(text) if is_last else cut(text, len(text) // 2)
                if place is not None:
                    break
                size *= 2
            end = segment.end if is_last else start + len(text[:place].encode())
            tidy = _normalize_ends(text[:place], segment, start, is_last=is_last)
            yield Piece(segment.path, which, start, end, tidy)
            start = end


def _read_exactly(stream: BinaryIO, segment: Segment, start: int, size_bytes: int) -> bytes:
    """Read bytes that were there when the files were listed."""
    stream.seek(start)
    data = stream.read(size_bytes)
    if len(data) < size_bytes:
        what = f"became shorter while it was read: it ends at byte {start + len(data)}"
        fix = "run the same command again once nothing writes to it"
        raise DataError(Problem(str(segment.path), "", what, fix, kind="data.changed"))
    return data


def _normalize_ends(text: str, segment: Segment, start: int, *, is_last: bool) -> str:
    """Drop a byte order mark, and add the newline that separates files."""
    text = text.removeprefix("\ufeff") if start == 0 else text
    return end_with_newline(text) if text and is_last and segment.needs_newline else text
