"""Read long texts in pieces that tokenize to the same ids as the whole."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import evolve, frozen

from mypt.data.input_files import end_with_newline
from mypt.data.inputs.compression import open_bytes
from mypt.data.text import decode_piece, shift_place
from mypt.format.errors import DataError, Problem
from mypt.plugins.contracts.tokenizer import DivisibleTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypt.data.prepare.segments import Segment, TextFile

    # Returns the first position at or after `start` where a text may be cut, or None.
    Cut = Callable[[str, int], int | None]

PIECE_BYTES = 1 << 20
_CONTINUATION = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that do not begin a character


@frozen
class Piece:
    """A piece of a segment.

    Attributes:
        file: The file.
        segment: Index of the segment.
        start: Where it begins, in the unit of the segment.
        end: Where it ends.
        text: Its text.
        ends_document: Whether it is the end of a document that another follows.
    """

    file: TextFile
    segment: int
    start: int
    end: int
    text: str
    ends_document: bool = False

    def locate(self, where: str) -> str:
        """Return a place in the text, such as "line 2, column 3", as one in the file."""
        if self.file.documents is not None:
            place = f"document {self.start + 1}"
            return f"{place}, {where}" if where else place
        return shift_place(where, *self._count_before())

    def _count_before(self) -> tuple[int, int]:
        """Return how many lines of the file, and then characters, come before this piece."""
        lines, columns, left = 0, 0, self.start
        with open_bytes(self.file.path) as stream:
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
    segments: Sequence[Segment],
    cut: Cut,
    number: int = 0,
    start: int | None = None,
    *,
    by_newlines: bool = True,
) -> Iterator[Piece]:
    """Yield the text of segments, one piece at a time.

    The boundaries depend only on the files, so reading may begin at any piece.

    Args:
        segments: The segments to read.
        cut: Where texts may be cut.
        number: Index of the segment to begin with.
        start: Where the piece to begin with begins; None for the segment's start.
        by_newlines: Whether documents that another follows get a newline if they end without one.

    Raises:
        DataError: A file cannot be read or is no UTF-8 text.
    """
    for which in range(number, len(segments)):
        segment = segments[which]
        begin = segment.start if start is None or which > number else start
        read = _read_text if segment.file.documents is None else _read_documents
        try:
            for piece in read(segment, which, begin, cut):
                yield _end_with_newline(piece) if by_newlines else piece
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise DataError(Problem(str(segment.path), "", what, "check it")) from error


def _end_with_newline(piece: Piece) -> Piece:
    return evolve(piece, text=end_with_newline(piece.text)) if piece.ends_document else piece


def _read_documents(segment: Segment, which: int, start: int, _: Cut) -> Iterator[Piece]:
    """Yield each document of a segment; reading one's text takes it into memory anyhow."""
    documents = segment.file.documents.documents() if segment.file.documents else iter(())
    with closing(documents):  # type: ignore[type-var]
        for place, text in enumerate(islice(documents, start, segment.end), start=start):
            is_followed = place + 1 < segment.end or segment.is_followed
            yield Piece(segment.file, which, place, place + 1, text, is_followed)


def _read_text(segment: Segment, which: int, start: int, cut: Cut) -> Iterator[Piece]:
    with open_bytes(segment.path) as stream:
        stream.seek(start)
        held = b""
        while start < segment.end:
            size = PIECE_BYTES
            while True:
                wanted = min(size, segment.end - start)
                held += _read_exactly(stream, segment, start, wanted, len(held))
                is_last = start + size >= segment.end
                data = held[:wanted]
                text = decode_piece(data, segment.path, start, is_last=is_last)
                place = len(text) if is_last else cut(text, len(text) // 2)
                if place is not None:
                    break
                size *= 2
            end = segment.end if is_last else start + len(text[:place].encode())
            tidy = text[:place].removeprefix("\ufeff") if start == 0 else text[:place]
            ends = bool(tidy) and is_last and segment.is_followed
            yield Piece(segment.file, which, start, end, tidy, ends)
            held, start = held[end - start :], end


def _read_exactly(
    stream: BinaryIO, segment: Segment, start: int, size_bytes: int, there: int
) -> bytes:
    """Read the bytes from `start` on that are not there yet, as when the files were listed."""
    data = stream.read(max(0, size_bytes - there))
    if there + len(data) < size_bytes:
        what = f"became shorter while it was read: it ends at byte {start + there + len(data)}"
        fix = "run the same command again once nothing writes to it"
        raise DataError(Problem(str(segment.path), "", what, fix, kind="data.changed"))
    return data
