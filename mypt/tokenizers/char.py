"""One id for each character."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from mypt.format.errors import DataError, FormatError, Problem, format_count
from mypt.tokenizers.hugging_face_files import char_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

_REPLACEMENT = 0xFFFD
_UNKNOWN = 0xFFFFFFFF
_CHUNK = 1 << 20  # characters looked up together; their code points stay in the cache


@frozen
class CharTokenizer:
    """A vocabulary of characters; the id of a character is its index.

    Attributes:
        chars: The characters, distinct, in the order of their ids.
    """

    chars: tuple[str, ...] = field(converter=tuple[str, ...])
    token_kind = "char"

    @classmethod
    def train(cls, text: str) -> CharTokenizer:
        """Build the vocabulary of a text: its distinct characters, sorted.

        Raises:
            DataError: The text is empty, or contains half of a surrogate pair, which no file can
                encode.
        """
        if not text:
            what = "there is no text to build a vocabulary from"
            raise DataError(Problem("", "", what, "give a text", kind="data.text"))
        chars = find_characters((text,))
        lone = [char for char in chars if "\ud800" <= char <= "\udfff"]
        if lone:
            what = (
                f"contains {_describe_char(lone[0])}, half of a surrogate pair, "
                "which no file can encode"
            )
            raise DataError(
                Problem("", _locate(text, lone[0]), what, "decode the text without errors")
            )
        return cls(chars)

    @classmethod
    def build(cls, state: Mapping[str, Any]) -> CharTokenizer:
        """Build the tokenizer from the fields of `tokenizer.json`.

        Raises:
            FormatError: `chars` is missing, or not a list of distinct characters.
        """
        chars = state.get("chars")
        if not isinstance(chars, list | tuple) or not _are_distinct_characters(chars):
            what = "is not a list of distinct characters"
            raise FormatError(Problem("the tokenizer", "/chars", what, "restore the file"))
        return cls(chars)

    @property
    def n_vocab(self) -> int:
        """Number of ids."""
        return len(self.chars)

    @property
    def vocab_size(self) -> int:
        """Number of embedding rows of a new model with this tokenizer."""
        return len(self.chars)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`.

        Raises:
            DataError: The text holds a character that the vocabulary lacks.
        """
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`.

        Raises:
            DataError: The text holds a character that the vocabulary lacks.
        """
        ids = np.empty(len(text), np.uint32)
        for start in range(0, len(text), _CHUNK):
            codes = _code_points(text[start : start + _CHUNK])
            chunk = ids[start : start + len(codes)]
            np.take(self._id_of_code, codes, out=chunk, mode="clip")
            if (chunk == _UNKNOWN).any():
                self._raise_unknown(text)
        return ids

    def cut(self, text: str, start: int) -> int | None:
        """Return `start`: a text may be cut anywhere."""
        return start if start <= len(text) else None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; an id without text becomes U+FFFD."""
        numbers = np.fromiter(ids, np.int64)
        outside = (numbers < 0) | (numbers >= len(self.chars))
        codes = self._code_of_id.take(np.where(outside, len(self.chars), numbers))
        return codes.tobytes().decode("utf-32-le")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes of `ids`."""
        return self.decode(ids).encode()

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` from which `build` makes an equal tokenizer."""
        return {"token_kind": self.token_kind, "chars": list(self.chars)}

    def to_hugging_face(self) -> dict[str, dict[str, Any]]:
        """Return the documents of an equal tokenizer; see `mypt.plugins.ExportableTokenizer`."""
        return char_documents(self.chars)

    @cached_property
    def _id_of_code(self) -> NDArray[np.uint32]:
        """Id by code point, up to the highest in use and one beyond, which is unknown."""
        codes = _code_points("".join(self.chars))
        table = np.full(int(codes.max(initial=0)) + 2, _UNKNOWN, np.uint32)
        table[codes] = np.arange(len(codes), dtype=np.uint32)
        return table

    @cached_property
    def _code_of_id(self) -> NDArray[np.uint32]:
        """Code point by id; U+FFFD after the last and for surrogates, which UTF-8 cannot encode."""
        codes = _code_points("".join(self.chars) + chr(_REPLACEMENT)).copy()
        codes[(codes >= 0xD800) & (codes <= 0xDFFF)] = _REPLACEMENT
        return codes

    def _raise_unknown(self, text: str) -> None:
        unknown = set(text).difference(self.chars)
        first = min(unknown, key=text.index)
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        size = format_count(self.n_vocab, "character")
        what = f"the vocabulary of {size} lacks {_describe_char(first)}{others}"
        fix = "remove it, or train a new model on a text that contains it"
        raise DataError(Problem("", _locate(text, first), what, fix, kind="data.unknown_character"))


def find_characters(pieces: Iterable[str]) -> list[str]:
    """Return the distinct characters of a text in pieces, sorted."""
    found = np.zeros(sys.maxunicode + 1, bool)
    for piece in pieces:
        for start in range(0, len(piece), _CHUNK):
            found[_code_points(piece[start : start + _CHUNK])] = True
    return [*map(chr, np.flatnonzero(found))]


def _are_distinct_characters(chars: Sequence[Any]) -> bool:
    single = all(isinstance(char, str) and len(char) == 1 for char in chars)
    return single and 0 < len(chars) == len(set(chars))


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _describe_char(char: str) -> str:
    return f"the character {char!r} (U+{ord(char):04X})"


def _locate(text: str, char: str) -> str:
    index = text.index(char)
    line = text.count("\n", 0, index) + 1
    return f"line {line}, column {index - text.rfind(chr(10), 0, index)}"
