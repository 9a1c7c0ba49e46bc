"""Measure the speed of a tokenizer. Nothing here fails: its author decides what is enough."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from mypt.plugins.contracts.tokenizer import Tokenizer


@frozen
class TokenizerSpeed:
    """The speed of a tokenizer on a text.

    Attributes:
        chars_per_token: Characters per token on average.
        encoded_chars_per_sec: Text encoded.
        decoded_tokens_per_sec: Tokens decoded.
        growth: How many times as long it takes to encode the text twice over: about 2 where time
            is linear in the length of the text, 4 where it is quadratic.
    """

    chars_per_token: float
    encoded_chars_per_sec: float
    decoded_tokens_per_sec: float
    growth: float


def measure_tokenizer(tokenizer: Tokenizer, text: str, repeats: int = 3) -> TokenizerSpeed:
    """Measure how fast a tokenizer handles a text; the shortest of several times counts.

    Args:
        tokenizer: A trained tokenizer.
        text: Not empty; a megabyte or so makes for steady figures.
        repeats: How many times to measure.
    """
    ids = tokenizer.encode_array(text)
    once, twice, back = [], [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        tokenizer.encode_array(text)
        half = time.perf_counter()
        tokenizer.encode_array(text + text)
        whole = time.perf_counter()
        tokenizer.decode(ids.tolist())
        once.append(half - begin)
        twice.append(whole - half)
        back.append(time.perf_counter() - whole)
    return TokenizerSpeed(
        chars_per_token=len(text) / len(ids),
        encoded_chars_per_sec=len(text) / min(once),
        decoded_tokens_per_sec=len(ids) / min(back),
        growth=min(twice) / min(once),
    )
