"""Train a vocabulary on a text."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING

import regex

from mypt.plugins import DataError, Problem
from mypt_nanochat.tokenizer.tiktoken_tokenizer import NanochatTokenizer, replace_surrogates
from mypt_nanochat.tokenizer.vocabulary import PATTERN, SPECIAL_TOKENS, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Pair = tuple[int, int]

# No piece of the pattern continues over this edge.
_EDGE = re.compile(r"(?<=\S)(?=[ \t])")
_PIECE = regex.compile(PATTERN)


def train(pieces: Iterable[str], vocab_size: int) -> NanochatTokenizer:
    """Learn the most frequent byte pairs in a text; of equally frequent ones those of lower ids.

    Args:
        pieces: The text; the result does not depend on how it is divided.
        vocab_size: Maximum number of tokens, including the 256 bytes and the special tokens.

    Raises:
        DataError: The text is empty.

    Source: Sennrich et al. 2016, section 3.2, on bytes as Radford et al. 2019, section 2.2.
    """
    counts: Counter[str] = Counter()
    for record in _split_records(pieces):
        counts.update(_PIECE.findall(replace_surrogates(record)))
    if not counts:
        what = "there is no text to build a vocabulary from"
        raise DataError(Problem("", "", what, "provide a text", kind="data.text"))
    tokens = _merge_pairs(counts, vocab_size - len(SPECIAL_TOKENS))
    special = {text: len(tokens) + place for place, text in enumerate(SPECIAL_TOKENS)}
    return NanochatTokenizer(Vocabulary(PATTERN, tokens, special))


def _merge_pairs(counts: Counter[str], size: int) -> tuple[bytes, ...]:
    """Return the single bytes and then the pairs that were merged, up to `size` tokens."""
    words = _Words(counts)
    tokens = [bytes([byte]) for byte in range(256)]
    ids = {token: number for number, token in enumerate(tokens)}
    while len(tokens) < size and (pair := words.pop_most_frequent()) is not None:
        joined = tokens[pair[0]] + tokens[pair[1]]
        if joined not in ids:  # other pairs of the same bytes are the same token
            ids[joined] = len(tokens)
            tokens.append(joined)
        words.merge(pair, ids[joined])
    return tuple(tokens)


class _Words:
    """The different words of a text as ids, with the number of each pair of neighbours."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = [*counts.values()]
        self._words = [[*word.encode()] for word in counts]
        self._pairs: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, set[int]] = defaultdict(set)
        for place in range(len(self._words)):
            self._count(place, 1)
        self._queue = [(-number, pair) for pair, number in self._pairs.items()]
        heapify(self._queue)

    def pop_most_frequent(self) -> Pair | None:
        """Return the most frequent pair, and forget it; None if none is there twice."""
        while self._queue:
            number, pair = heappop(self._queue)
            if -number == self._pairs[pair]:  # else it was counted again since
                return pair if -number > 1 else None
        return None

    def merge(self, pair: Pair, number: int) -> None:
        """Replace a pair by one id in all words."""
        changed: set[Pair] = set()
        for place in sorted(self._places.pop(pair)):
            changed |= self._count(place, -1)
            self._words[place] = _join(self._words[place], pair, number)
            changed |= self._count(place, 1)
        for other in sorted(changed):
            if self._pairs[other] > 0:
                heappush(self._queue, (-self._pairs[other], other))

    def _count(self, place: int, sign: int) -> set[Pair]:
        """Count the pairs of a word, or take them off the counts; return them."""
        pairs = [*pairwise(self._words[place])]
        for pair in pairs:
            self._pairs[pair] += sign * self._counts[place]
            self._places[pair].add(place)
        return set(pairs)


def _join(word: list[int], pair: Pair, number: int) -> list[int]:
    joined, start = [], 0
    while start < len(word):
        is_pair = (*word[start : start + 2],) == pair
        joined.append(number if is_pair else word[start])
        start += 2 if is_pair else 1
    return joined


def _split_records(pieces: Iterable[str]) -> Iterator[str]:
    """Divide a text where no piece continues, independently of how it is divided."""
    held = ""
    for piece in pieces:
        *whole, held = _EDGE.split(held + piece)
        yield from whole
    yield held
