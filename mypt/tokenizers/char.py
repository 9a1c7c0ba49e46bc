"""One id for each character."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from mypt.format.errors import DataError, FormatError, Problem, format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

_REPLACEMENT = 0xFFFD
_UNKNOWN = 0xFFFFFFFF
_CHUNK = 1 << 20  # characters looked up together; their code points stay in the cache


@frozen
class CharTokenizer:
    """A vocabulary of characters, whose ids are their places in it.

    Attributes:
        chars: The characters, distinct, in the order of their ids.
    """

    chars: tuple[str, ...] = field(converter=tuple[str, ...])
    token_kind = "char"

    @classmethod
    def train(cls, text: str) -> CharTokenizer:
        """Make the vocabulary of a text: its distinct characters, sorted.

        Raises:
            DataError: The text is empty, or holds half of a surrogate pair, which no file can say.
        """
        if not text:
            what = "there is no text to make a vocabulary of"
            raise DataError(Problem("", "", what, "give a text", kind="data.text"))
        chars = sorted(set(text))
        lone = [char for char in chars if "\ud800" <= char <= "\udfff"]
        if lone:
            what = f"holds {_name(lone[0])}, half of a surrogate pair, which no file can say"
            raise DataError(
                Problem("", _place(text, lone[0]), what, "decode the text without errors")
            )
        return cls(chars)

    @classmethod
    def build(cls, state: Mapping[str, Any]) -> CharTokenizer:
        """Make it from the fields of `tokenizer.json`.

        Raises:
            FormatError: `chars` is missing, or no list of distinct characters.
        """
        chars = state.get("chars")
        if not isinstance(chars, list | tuple) or not _are_distinct_characters(chars):
            what = "is no list of distinct characters"
            raise FormatError(Problem("the tokenizer", "/chars", what, "restore the file"))
        return cls(chars)

    @property
    def n_vocab(self) -> int:
        """Number of ids."""
        return len(self.chars)

    @property
    def vocab_size(self) -> int:
        """Rows a new model gets for it."""
        return len(self.chars)

    def encode(self, text: str) -> list[int]:
        """Give the ids of `text`.

        Raises:
            DataError: The text holds a character that the vocabulary lacks.
        """
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Give the ids of a long text, (N,) uint32; equal to `encode`.

        Raises:
            DataError: The text holds a character that the vocabulary lacks.
        """
        ids = np.empty(len(text), np.uint32)
        for start in range(0, len(text), _CHUNK):
            codes = _code_points(text[start : start + _CHUNK])
            chunk = ids[start : start + len(codes)]
            np.take(self._id_of_code, codes, out=chunk, mode="clip")
            if (chunk == _UNKNOWN).any():
                self._refuse(text)
        return ids

    def cut(self, text: str, start: int) -> int | None:
        """Let a text be cut anywhere."""
        return start if start <= len(text) else None

    def decode(self, ids: Iterable[int]) -> str:
        """Give the text of `ids`; an id without text becomes U+FFFD."""
        numbers = np.fromiter(ids, np.int64)
        outside = (numbers < 0) | (numbers >= len(self.chars))
        codes = self._code_of_id.take(np.where(outside, len(self.chars), numbers))
        return codes.tobytes().decode("utf-32-le")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Give the UTF-8 bytes of `ids`."""
        return self.decode(ids).encode()

    def state(self) -> dict[str, Any]:
        """Give the fields of `tokenizer.json` from which `build` makes an equal tokenizer."""
        return {"token_kind": self.token_kind, "chars": list(self.chars)}

    @cached_property
    def _id_of_code(self) -> NDArray[np.uint32]:
        """Id by code point, up to the highest there is and one beyond, which is unknown."""
        codes = _code_points("".join(self.chars))
        table = np.full(int(codes.max(initial=0)) + 2, _UNKNOWN, np.uint32)
        table[codes] = np.arange(len(codes), dtype=np.uint32)
        return table

    @cached_property
    def _code_of_id(self) -> NDArray[np.uint32]:
        """Code point by id, U+FFFD after the last, and for surrogates, which UTF-8 cannot say."""
        codes = _code_points("".join(self.chars) + chr(_REPLACEMENT)).copy()
        codes[(codes >= 0xD800) & (codes <= 0xDFFF)] = _REPLACEMENT
        return codes

    def _refuse(self, text: str) -> None:
        unknown = set(text).difference(self.chars)
        first = min(unknown, key=text.index)
        others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        size = format_count(self.n_vocab, "character")
        what = f"the vocabulary of {size} lacks {_name(first)}{others}"
        fix = "take it out, or train a new model on a text that has it"
        raise DataError(Problem("", _place(text, first), what, fix, kind="data.unknown_character"))


def _are_distinct_characters(chars: Sequence[Any]) -> bool:
    single = all(isinstance(char, str) and len(char) == 1 for char in chars)
    return single and 0 < len(chars) == len(set(chars))


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _name(char: str) -> str:
    return f"the character {char!r} (U+{ord(char):04X})"


def _place(text: str, char: str) -> str:
    index = text.index(char)
    line = text.count("\n", 0, index) + 1
    return f"line {line}, column {index - text.rfind(chr(10), 0, index)}"
