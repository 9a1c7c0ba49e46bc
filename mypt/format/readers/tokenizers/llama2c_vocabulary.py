"""Read the `tokenizer.bin` of llama2.c, which holds a byte-pair encoding of sentencepiece."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.sentencepiece import SPACE, PieceType, SentencePieces
from mypt.format.storage.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024  # 32000 tokens take 430 kB
_UNK, _BOS, _EOS = 0, 1, 2  # as its `run.c` has them
_MARKS = {_UNK: "<unk>", _BOS: "<s>", _EOS: "</s>"}
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_HEAD, _TOKEN = struct.Struct("<i"), struct.Struct("<fi")


def read_llama2c_vocabulary(path: Path, file: str) -> SentencePieces:
    """Read a `tokenizer.bin`.

    It holds the length of the longest token, then the score, length and bytes of each. `run.c`
    splits a text as sentencepiece does where the `.model` leaves spaces as they are.

    Args:
        path: The file.
        file: Its name, for messages.

    Raises:
        FormatError: It is no such file.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _make_error(file, f"is larger than {MAX_BYTES} bytes")
    tokens = list(_iterate_tokens(data, file))
    if len(tokens) <= _EOS:
        raise _make_error(
            file,
            f"holds {len(tokens)} tokens, without those of the beginning and the end of a text",
        )
    pieces = [_MARKS.get(n, text.replace(" ", SPACE)) for n, (_, text) in enumerate(tokens)]
    return SentencePieces(
        pieces=pieces,
        scores=[score for score, _ in tokens],
        types=[_find_type(number, piece) for number, piece in enumerate(pieces)],
        unk=_UNK,
        bos=_BOS,
        eos=_EOS,
    )


def _iterate_tokens(data: bytes, file: str) -> Iterator[tuple[float, str]]:
    longest = _HEAD.unpack_from(data)[0] if len(data) >= _HEAD.size else -1
    place = _HEAD.size
    while place < len(data):
        size = -1
        if place + _TOKEN.size <= len(data):
            score, size = _TOKEN.unpack_from(data, place)
            place += _TOKEN.size
        if not 0 <= size <= min(longest, len(data) - place):
            raise _make_error(file, f"has no whole token at byte {place}")
        try:
            text = data[place : place + size].decode()
        except UnicodeDecodeError as error:
            raise _make_error(file, f"has a token at byte {place} that is not UTF-8") from error
        yield score, text
        place += size


def _find_type(number: int, piece: str) -> PieceType:
    if number in _MARKS:
        return PieceType.UNKNOWN if number == _UNK else PieceType.CONTROL
    return PieceType.BYTE if _BYTE.fullmatch(piece) else PieceType.NORMAL


def _make_error(file: str, what: str) -> FormatError:
    fix = "name a `tokenizer.bin` of llama2.c"
    return FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))
