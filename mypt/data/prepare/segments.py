"""Split files into stretches for training and for validation."""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LINE_BYTES = 1 << 16  # how far a cut may move to reach the end of a line


@frozen
class TextFile:
    """A text file.

    Attributes:
        path: Its path.
        name: Its name; with `size_bytes` and `version` it identifies the content.
        size_bytes: Its size.
        version: Its modification time, or a digest of its content.
    """

    path: Path
    name: str
    size_bytes: int
    version: str


@frozen
class Segment:
    """A stretch of a file that goes to one split.

    Attributes:
        path: The file.
        start: Offset of its first byte.
        end: Offset just after its last byte.
        split: The split it belongs to.
        needs_newline: Whether a newline is added if it does not end with one.
    """

    path: Path
    start: int
    end: int
    split: Literal["train", "val"]
    needs_newline: bool


def plan_segments(sources: Sequence[TextFile], val_fraction: float) -> list[Segment]:
    """Divide files into training and validation data, without reading them in full.

    If there are enough files, whole files are used for validation: those whose names have the
    lowest digests, as long as they fit into the fraction. So validation data comes from everywhere,
    no document is in both splits, and a file stays in its split when others are added before it.
    If that yields less than half of the fraction, because files are few or large, the end of the
    last files is used instead, beginning at the start of a line.

    Args:
        sources: The files, in order.
        val_fraction: Fraction of the bytes used for validation, 0 to 1.

    Returns:
        The training segments, then the validation segments, each in the order of the files.
    """
    total = sum(source.size_bytes for source in sources)
    chosen = _choose_whole_files(sources, val_fraction * total)
    if sum(sources[number].size_bytes for number in chosen) >= val_fraction * total / 2:
        cuts = [0 if number in chosen else s.size_bytes for number, s in enumerate(sources)]
    else:
        cuts = _find_tail_cuts(sources, total - round(val_fraction * total))
    train, val = [], []
    for number, (source, cut) in enumerate(zip(sources, cuts, strict=True)):
        more = number + 1 < len(sources)
        if cut > 0:
            ends_file = more and cut == source.size_bytes
            train.append(Segment(source.path, 0, cut, "train", ends_file))
        if cut < source.size_bytes:
            val.append(Segment(source.path, cut, source.size_bytes, "val", more))
    return [*train, *val]


def inputs_sha256(sources: Sequence[TextFile]) -> str:
    """Return a digest of names, sizes and versions, which must not change for work to resume."""
    digest = hashlib.sha256()
    for source in sources:
        line = f"{source.name}\0{source.size_bytes}\0{source.version}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _choose_whole_files(sources: Sequence[TextFile], most_bytes: float) -> set[int]:
    chosen, size_bytes = set(), 0
    for number in sorted(range(len(sources)), key=lambda n: _hash_name(sources[n].name)):
        if size_bytes + sources[number].size_bytes <= most_bytes:
            chosen.add(number)
            size_bytes += sources[number].size_bytes
    return chosen


def _hash_name(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _find_tail_cuts(sources: Sequence[TextFile], train_bytes: int) -> list[int]:
    """Return how many bytes of each file come before its validation part."""
    before = accumulate((source.size_bytes for source in sources), initial=0)
    cuts = []
    for source, begin in zip(sources, before, strict=False):
        cut = min(max(train_bytes - begin, 0), source.size_bytes)
        cuts.append(_move_to_line_start(source, cut) if 0 < cut < source.size_bytes else cut)
    return cuts


def _move_to_line_start(source: TextFile, cut: int) -> int:
    """Move a cut forward to the start of a line, or at least of a character."""
    with source.path.open("rb") as stream:
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
