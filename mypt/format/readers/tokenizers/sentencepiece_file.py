"""Read the `.model` of sentencepiece: a message of Protocol Buffers, of which nothing is trusted.

Source: `sentencepiece_model.proto` of google/sentencepiece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.protobuf import (
    WireError,
    iterate_fields,
    to_bytes,
    to_float,
    to_signed,
)
from mypt.format.readers.tokenizers.sentencepiece import Kind, PieceType, SentencePieces
from mypt.format.storage.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 64 * 1024 * 1024  # Gemma's 262144 pieces take 4.7 MB
_MAX_PIECES = 1 << 20
_PIECES, _TRAINER, _NORMALIZER, _DENORMALIZER = 1, 2, 3, 5
_KINDS: dict[int, Kind] = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_TRAINER_FIELDS = {
    3: "kind",
    24: "suffix",
    35: "byte_fallback",
    40: "unk",
    41: "bos",
    42: "eos",
    43: "pad",
}
_TRAINER_DEFAULTS = {
    "kind": 1,
    "suffix": 0,
    "byte_fallback": 0,
    "unk": 0,
    "bos": 1,
    "eos": 2,
    "pad": -1,
}
_NORMALIZER_FIELDS = {3: "add_dummy_prefix", 4: "remove_extra_whitespaces", 5: "escape_whitespaces"}
_NAME, _CHARSMAP = 1, 2


def read_sentencepiece(path: Path, file: str) -> SentencePieces:
    """Read a `.model` of sentencepiece.

    Args:
        path: The file.
        file: Its name, for messages.

    Raises:
        FormatError: It is no such file, or it changes texts in a way that mypt does not know.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _make_error(file, f"is larger than {MAX_BYTES} bytes")
    try:
        return _read_model(memoryview(data), file)
    except (WireError, UnicodeDecodeError) as error:
        raise _make_error(file, f"is no model of sentencepiece: {error}") from error


def _make_error(file: str, what: str) -> FormatError:
    fix = "name the right file, or open the model with `--option tokenizer=none`"
    return FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))


def _read_model(data: memoryview, file: str) -> SentencePieces:
    pieces: list[tuple[str, float, int]] = []
    trainer, normalizer = dict(_TRAINER_DEFAULTS), dict.fromkeys(_NORMALIZER_FIELDS.values(), 1)
    name = charsmap = b""
    for number, value in iterate_fields(data):
        if number == _PIECES:
            pieces.append(_read_piece(to_bytes(value)))
            if len(pieces) > _MAX_PIECES:
                raise _make_error(file, f"holds more than {_MAX_PIECES} pieces")
        elif number == _TRAINER:
            trainer |= _read_numbers(to_bytes(value), _TRAINER_FIELDS)
        elif number == _NORMALIZER:
            normalizer |= _read_numbers(to_bytes(value), _NORMALIZER_FIELDS)
            name, charsmap = (_read_bytes(to_bytes(value), field) for field in (_NAME, _CHARSMAP))
        elif number == _DENORMALIZER and _read_bytes(to_bytes(value), _CHARSMAP):
            raise _make_error(file, "replaces characters of decoded texts, which mypt does not")
    if not pieces:
        raise _make_error(file, "holds no pieces")
    if trainer.pop("suffix"):
        raise _make_error(file, "spells a space at the end of a word, which mypt does not")
    kind = _KINDS.get(trainer.pop("kind"))
    if kind is None:
        raise _make_error(file, "is of a type that mypt does not know")
    flags = {**normalizer, "byte_fallback": trainer.pop("byte_fallback")}
    rest: dict[str, Any] = {**{flag: bool(value) for flag, value in flags.items()}, **trainer}
    texts, scores, types = zip(*pieces, strict=True)
    return SentencePieces(
        texts, scores, types, kind, normalizer=name.decode(), charsmap=charsmap, **rest
    )


def _read_piece(message: memoryview) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, int(PieceType.NORMAL)
    for number, value in iterate_fields(message):
        if number == 1:
            text = str(to_bytes(value), "utf-8")
        elif number == 2:
            score = to_float(value)
        elif number == 3:
            kind = to_signed(value)
    return text, score, kind


def _read_numbers(message: memoryview, fields: dict[int, str]) -> dict[str, int]:
    found = [(fields[n], value) for n, value in iterate_fields(message) if n in fields]
    return {name: to_signed(value) for name, value in found}


def _read_bytes(message: memoryview, field: int) -> bytes:
    """Return the bytes of a field; b"" if it is not there."""
    found = [bytes(to_bytes(value)) for number, value in iterate_fields(message) if number == field]
    return found[-1] if found else b""
