"""Keep strings out of a text, however its tokens cut them."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen

from mypt.engine.inference.processors.vocabulary import encode_option
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from mypt.engine.inference.processors.vocabulary import Vocabulary
    from mypt.plugins import BeginText, LogitProcessor

NAME = "banned_words"
IMPOSSIBLE = float("-inf")


class _TokenIndex:
    """The tokens of a vocabulary in the order of their bytes; those of special tokens left out."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Sort them."""
        tokens = vocabulary.tokens
        usual = (number for number in range(len(tokens)) if number not in vocabulary.special)
        order = sorted(usual, key=tokens.__getitem__)
        self._ids = torch.tensor(order, dtype=torch.int64)
        self._sorted = [tokens[number] for number in order]

    def beginning_with(self, begin: bytes) -> Tensor:
        """Return the ids of the tokens that begin with some bytes, (N,) int64."""
        first = bisect_left(self._sorted, begin)
        # No byte of UTF-8 is 0xff, and of other bytes no token has so many.
        end = bisect_left(self._sorted, begin + b"\xff" * 64)
        return self._ids[first:end]

    def containing(self, words: Sequence[bytes]) -> Tensor:
        """Return the ids of the tokens that any of the words is part of, (N,) int64."""
        held = [any(word in token for word in words) for token in self._sorted]
        return self._ids[torch.tensor(held, dtype=torch.bool)]


@frozen
class _Ban:
    """What the texts of a generation share.

    Attributes:
        vocabulary: The tokens.
        index: Their order.
        words: The banned strings in UTF-8.
        whole: The tokens that any of the words is part of, (N,) int64.
    """

    vocabulary: Vocabulary
    index: _TokenIndex
    words: tuple[bytes, ...]
    whole: Tensor

    @property
    def room(self) -> int:
        """Most bytes that a word may have before its last token."""
        return max(map(len, self.words)) - 1


class _WordBan:
    """Bans the tokens that would complete a banned word in one text, given the text so far."""

    def __init__(self, ban: _Ban, prompt_ids: Sequence[int]) -> None:
        self._ban = ban
        self._tail = b""  # the end of the text: what a word may have before its last token
        self._read(prompt_ids)
        self._seen = 0

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        self._read(ids[self._seen :])
        self._seen = len(ids)
        for banned in (self._ban.whole, *self._find_endings()):
            logits[banned.to(logits.device)] = IMPOSSIBLE
        return logits

    def _read(self, ids: Sequence[int]) -> None:
        tokens, room = self._ban.vocabulary.tokens, self._ban.room
        known = (tokens[number] for number in ids if number < len(tokens))
        text = self._tail + b"".join(known)
        self._tail = text[max(0, len(text) - room) :]

    def _find_endings(self) -> Iterator[Tensor]:
        """Yield the tokens that end a word which the text has begun."""
        for word in self._ban.words:
            for count in range(1, min(len(word) - 1, len(self._tail)) + 1):
                if self._tail.endswith(word[:count]):
                    yield self._ban.index.beginning_with(word[count:])


def build_word_ban(options: Mapping[str, Any], vocabulary: Vocabulary) -> BeginText:
    """Return what makes the processor of a text.

    A word is found wherever it stands, also within a longer one, across tokens, and where it began
    in the prompt.

    Args:
        options: `words`, strings that a text must not contain.
        vocabulary: The tokens of the model.

    Raises:
        ConfigError: A word is empty, or has half a character.
    """
    words = tuple(encode_option(NAME, word) for word in options["words"])
    if b"" in words:
        fix = "leave it out, or write what must not appear"
        raise ConfigError(Problem("", NAME, "has an empty word", fix, kind="sampling"))
    if not words:
        return lambda _: _pass_on
    index = _TokenIndex(vocabulary)
    ban = _Ban(vocabulary, index, words, index.containing(words))

    def begin(prompt_ids: Sequence[int]) -> LogitProcessor:
        return _WordBan(ban, prompt_ids)

    return begin


def _pass_on(logits: Tensor, _: Sequence[int]) -> Tensor:
    return logits
