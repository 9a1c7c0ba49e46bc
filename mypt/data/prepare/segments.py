"""Split files into stretches for training and for validation."""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from mypt.data.inputs.compression import drop_suffix, open_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mypt.data.sources.input_source import SourceDocuments

_LINE_BYTES = 1 << 16  # how far a cut may move to reach the end of a line


@frozen
class TextFile:
    """A file with text, or a folder that is read as a whole.

    Attributes:
        path: Its path.
        name: Its name; with `size_bytes` and `version` it identifies the content.
        size_bytes: Size of its text, unpacked.
        version: Its modification time, or a digest of its content.
        documents: What reads its documents; None for one text, which is read by its bytes.
        count: How many documents it has.
    """

    path: Path
    name: str
    size_bytes: int
    version: str
    documents: SourceDocuments | None = None
    count: int = 1

    @property
    def length(self) -> int:
        """The place of its end: its number of documents, or of bytes."""
        return self.size_bytes if self.documents is None else self.count


@frozen
class Segment:
    """A stretch of a file that goes to one split.

    Attributes:
        file: The file.
        start: Where it begins: the number of bytes before it, or of documents.
        end: Where it ends, in the same unit.
        split: The split it belongs to.
        size_bytes: Size of its text.
        is_followed: Whether another document of its split follows.
    """

    file: TextFile
    start: int
    end: int
    split: Literal["train", "val"]
    size_bytes: int
    is_followed: bool = False

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.file.path


@frozen
class _Cut:
    """Where the validation part of a file begins, and how many bytes of text come before it."""

    place: int
    size_bytes: int


def plan_segments(sources: Sequence[TextFile], val_fraction: float) -> list[Segment]:
    """Divide files into training and validation data.

    If there are enough files, whole files are used for validation: those whose names have the
    lowest digests, as long as they fit into the fraction. So validation data comes from everywhere,
    no document is in both splits, and a file stays in its split when others are added before it.
    If that yields less than half of the fraction, because files are few or large, the end of the
    last files is used instead, beginning at the start of a document, or of a line of a text.

    Args:
        sources: The files, in order.
        val_fraction: Fraction of the bytes used for validation, 0 to 1.

    Returns:
        The training segments, then the validation segments, each in the order of the files.
    """
    total = sum(source.size_bytes for source in sources)
    chosen = _choose_whole_files(sources, val_fraction * total)
    if sum(sources[number].size_bytes for number in chosen) >= val_fraction * total / 2:
        cuts = [
            _Cut(0, 0) if number in chosen else _Cut(source.length, source.size_bytes)
            for number, source in enumerate(sources)
        ]
    else:
        cuts = _find_tail_cuts(sources, total - round(val_fraction * total))
    train, val = [], []
    for source, cut in zip(sources, cuts, strict=True):
        before = cut.size_bytes
        if cut.place > 0:
            train.append(Segment(source, 0, cut.place, "train", before))
        if cut.place < source.length:
            after = source.size_bytes - before
            val.append(Segment(source, cut.place, source.length, "val", after))
    return [*_mark_followed(train), *_mark_followed(val)]


def assign_segments(train: Sequence[TextFile], val: Sequence[TextFile]) -> list[Segment]:
    """Return each file as a whole, for the split that it was named for; see `plan_segments`."""
    return [*_take_whole(train, "train"), *_take_whole(val, "val")]


def _take_whole(sources: Sequence[TextFile], split: Literal["train", "val"]) -> list[Segment]:
    whole = [
        Segment(source, 0, source.length, split, source.size_bytes)
        for source in sources
        if source.length > 0
    ]
    return _mark_followed(whole)


def _mark_followed(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments of a split; each but the last is followed by another document."""
    last = len(segments) - 1
    return [evolve(one, is_followed=number < last) for number, one in enumerate(segments)]


def inputs_sha256(sources: Sequence[TextFile]) -> str:
    """Return a digest of names, sizes and versions, which must not change for work to resume.

    Their number, where there are several documents, sets them apart from what earlier versions of
    mypt joined by newlines.
    """
    digest = hashlib.sha256()
    for source in sources:
        parts = [source.name, str(source.size_bytes), source.version]
        parts += [] if source.documents is None else [source.documents.factory.name]
        line = "\0".join(parts) + "\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    count = sum(source.count for source in sources)
    digest.update(f"{count} documents\n".encode() if count > 1 else b"")
    return digest.hexdigest()


def _choose_whole_files(sources: Sequence[TextFile], most_bytes: float) -> set[int]:
    chosen, size_bytes = set(), 0
    for number in sorted(range(len(sources)), key=lambda n: _hash_name(sources[n].name)):
        if size_bytes + sources[number].size_bytes <= most_bytes:
            chosen.add(number)
            size_bytes += sources[number].size_bytes
    return chosen


def _hash_name(name: str) -> bytes:
    """Return what decides about a file, compressed or not."""
    return hashlib.sha256(drop_suffix(name).encode("utf-8", "surrogateescape")).digest()


def _find_tail_cuts(sources: Sequence[TextFile], train_bytes: int) -> list[_Cut]:
    """Return where the validation part of each file begins."""
    before = accumulate((source.size_bytes for source in sources), initial=0)
    return [
        _find_tail_cut(source, min(max(train_bytes - begin, 0), source.size_bytes))
        for source, begin in zip(sources, before, strict=False)
    ]


def _find_tail_cut(source: TextFile, cut: int) -> _Cut:
    """Return the place nearest to a number of bytes where a file may be cut."""
    if cut in (0, source.size_bytes):
        return _Cut(source.length if cut else 0, cut)
    if source.documents is not None:
        return _move_to_document(source, source.documents, cut)
    place = _move_to_line_start(source, cut)
    return _Cut(place, place)


def _move_to_document(source: TextFile, documents: SourceDocuments, cut: int) -> _Cut:
    """Move a cut forward to the start of a document, the last one at most."""
    size_bytes = 0
    for number, text in enumerate(documents.documents(), start=1):
        more = utf8_size(text)
        if number == source.count and number > 1:
            return _Cut(number - 1, size_bytes)
        size_bytes += more
        if size_bytes >= cut:
            return _Cut(number, size_bytes)
    return _Cut(source.count, source.size_bytes)


def utf8_size(text: str) -> int:
    """Return how many bytes a text takes as UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _move_to_line_start(source: TextFile, cut: int) -> int:
    """Move a cut forward to the start of a line, or at least of a character."""
    with open_bytes(source.path) as stream:
        stream.seek(cut - 1)
        data = stream.read(_LINE_BYTES)
    newline = data.find(b"\n")
    if newline >= 0 and cut + newline < source.size_bytes:
        return cut + newline
    while cut < source.size_bytes and _is_continuation_byte(data[1:2]):
        cut, data = cut + 1, data[1:]
    return cut


def _is_continuation_byte(byte: bytes) -> bool:
    """Return whether a UTF-8 byte continues a character."""
    return bool(byte) and byte[0] & 0xC0 == 0x80
