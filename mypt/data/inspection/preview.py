"""Conversations of a data set as text, with what is learnt of them."""

from __future__ import annotations

from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from mypt.chat.special_text import find_special_texts
from mypt.data.dataset import (
    find_tokenizer_state,
    has_episodes,
    is_eval_only,
    read_episodes,
)
from mypt.format.errors import ConfigError, Problem
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.data.dataset import EpisodeArrays
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

_ANSWERS = ("chosen", "rejected")  # in the order in which a pair is written


@frozen
class Stretch:
    """Tokens of a conversation that follow each other and are learnt alike.

    Attributes:
        text: Their text; a special token by its name.
        weight: How much the loss counts each; 0 for what is not learnt.
        is_special: Whether it is a special token.
    """

    text: str
    weight: float
    is_special: bool


@frozen
class ShownConversation:
    """A conversation.

    Attributes:
        split: The split that it is in.
        number: Its number within the split, from 0.
        tokens: Number of its tokens.
        stretches: What it holds.
        answer: Which answer of its pair it has, `chosen` or `rejected`; None where there are no
            pairs. Both have the number of the pair.
    """

    split: str
    number: int
    tokens: int
    stretches: tuple[Stretch, ...]
    answer: str | None = None


def find_tokenizer(folder: str | Path, plugins: Plugins) -> Tokenizer:
    """Return the tokenizer of a data set.

    Raises:
        ConfigError: It does not name one.
        PluginError: No plugin offers it.
    """
    found = find_tokenizer_state(folder)
    if found is None:
        what, fix = "does not say what its ids mean", "name a model of the same tokenizer"
        raise ConfigError(Problem(str(folder), "", what, f"{fix} with --from_model"))
    return build_from_state(found[1], plugins)


def show_conversations(
    folder: Path, tokenizer: Tokenizer, count: int
) -> Iterator[ShownConversation]:
    """Yield the first conversations of a data set, as a model learns from them.

    Raises:
        ConfigError: It holds none.
        DataError: It cannot be read.
    """
    if not has_episodes(folder):
        what, fix = "holds texts in shards, not conversations", "leave --show out"
        raise ConfigError(Problem(str(folder), "", what, fix))
    special = {number: text for text, number in find_special_texts(tokenizer).items()}
    yield from islice(_iter_conversations(folder, tokenizer, special), count)


def _iter_conversations(
    folder: Path, tokenizer: Tokenizer, special: dict[int, str]
) -> Iterator[ShownConversation]:
    for split, parts in read_episodes(folder, eval_only=is_eval_only(folder)).items():
        spans = ((part, start, length) for part in parts for start, length in part.spans.tolist())
        for number, (part, start, length) in enumerate(spans):
            stretches = _read_stretches(part, slice(start, start + length), tokenizer, special)
            one = ShownConversation(split, number, length, tuple(stretches))
            if part.reference is None:
                yield one
            else:
                yield evolve(one, number=number // 2, answer=_ANSWERS[number % 2])


def _read_stretches(
    part: EpisodeArrays, here: slice, tokenizer: Tokenizer, special: dict[int, str]
) -> Iterator[Stretch]:
    ids = part.tokens[here].tolist()
    weights = np.ones(len(ids)) if part.mask is None else part.mask[here]

    def describe(pair: tuple[int, Any]) -> tuple[float, int | None]:
        number, weight = pair
        return round(float(weight), 6), number if number in special else None

    for (weight, known), held in groupby(zip(ids, weights, strict=True), describe):
        numbers = [number for number, _ in held]
        if known is None:
            yield Stretch(tokenizer.decode(numbers), weight, is_special=False)
        else:
            yield from (Stretch(special[known], weight, is_special=True) for _ in numbers)
