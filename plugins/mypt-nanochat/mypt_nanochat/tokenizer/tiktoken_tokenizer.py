"""Encode and decode with tiktoken."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from tiktoken import Encoding

from mypt.plugins import FormatError, Problem
from mypt_nanochat.tokenizer.vocabulary import PACKAGE, PATTERN, TOKEN_KIND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from mypt_nanochat.tokenizer.vocabulary import Vocabulary

_MISSING = "\ufffd".encode()
# No piece of nanochat's pattern continues over such an edge; line ends may follow punctuation.
_EDGE = re.compile(r"(?<=\S)(?=[ \t])")
_CHUNK = 1 << 18  # characters; tiktoken fails on a million spaces before a word


class NanochatTokenizer:
    """A byte-pair encoding.

    Special tokens in a text are recognized, so that a prompt may hold the turns of a chat.

    Attributes:
        n_vocab: Number of ids.
        vocab_size: The vocab_size of a new model that uses it.
    """

    token_kind = TOKEN_KIND

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Prepare the encoding.

        Raises:
            FormatError: Its pattern is not one that tiktoken knows.
        """
        self._vocabulary = vocabulary
        special = dict(vocabulary.special_tokens)
        ranks = {token: rank for rank, token in enumerate(vocabulary.tokens)}
        try:
            self._encoding = Encoding(
                self.token_kind,
                pat_str=vocabulary.pattern,
                mergeable_ranks=ranks,
                special_tokens=special,
            )
        except ValueError as error:
            where = f"/plugins/{PACKAGE}/pattern"
            what = f"is not a regular expression that tiktoken knows ({error})"
            problem = Problem("tokenizer.json", where, what, "restore the file")
            raise FormatError(problem) from error
        self.n_vocab = vocabulary.size
        self.vocab_size = self.n_vocab

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`."""
        return self._encode(text, allowed_special="all")

    def encode_ordinary(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32, without any special token."""
        return self._encode(text, disallowed_special=())

    def cut(self, text: str, start: int) -> int | None:
        """Return the first position at or after `start` where the text may be cut in two.

        That is before a space after other text. For another pattern than nanochat's no position is
        known.
        """
        if not self._is_divisible:
            return None
        found = _EDGE.search(text, start)
        return None if found is None else found.end()

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes of `ids`, which may end inside a character."""
        return b"".join([self._bytes_of_id.get(number, _MISSING) for number in map(int, ids)])

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` from which `build` makes an equal tokenizer."""
        return self._vocabulary.to_document()

    def _encode(self, text: str, **special: Any) -> NDArray[np.uint32]:
        """Encode a text, with tiktoken's arguments that say which special tokens are read."""
        parts = [np.empty(0, np.uint32)]
        parts += [
            self._encoding.encode_to_numpy(chunk, **special)
            for chunk in self._split_chunks(replace_surrogates(text))
        ]
        return np.concatenate(parts)

    def _split_chunks(self, text: str) -> Iterator[str]:
        start = 0
        while start < len(text):
            end = self.cut(text, start + _CHUNK) or len(text)
            yield text[start:end]
            start = end

    @cached_property
    def _is_divisible(self) -> bool:
        special = self._vocabulary.special_tokens
        return self._vocabulary.pattern == PATTERN and not any(map(_has_space, special))

    @cached_property
    def _bytes_of_id(self) -> Mapping[int, bytes]:
        special = self._vocabulary.special_tokens.items()
        return dict(enumerate(self._vocabulary.tokens)) | {
            number: text.encode("utf-8", "replace") for text, number in special
        }


def _has_space(text: str) -> bool:
    return any(char.isspace() for char in text)


def replace_surrogates(text: str) -> str:
    """Return a text with unpaired surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
