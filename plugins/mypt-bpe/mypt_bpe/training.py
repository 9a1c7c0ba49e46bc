"""Train a vocabulary on a text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mypt.plugins import DataError, Problem
from mypt_bpe.tokenizer import BpeTokenizer, replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# No word of the pre-tokenizer spans this edge, since the character before it is not whitespace.
_EDGE = re.compile(r"(?<=\S)(?=\n)")


def train(pieces: Iterable[str], vocab_size: int) -> BpeTokenizer:
    """Learn the most frequent byte pairs in a text.

    Args:
        pieces: The text; the result does not depend on how it is divided.
        vocab_size: Maximum number of tokens, including the 256 bytes.

    Raises:
        DataError: The text is empty.

    Source: Sennrich et al. 2016, section 3.2, on bytes as Radford et al. 2019, section 2.2.
    """
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    seen = 0

    def records() -> Iterator[str]:
        nonlocal seen
        for record in _split_records(pieces):
            seen += len(record)
            yield replace_surrogates(record)

    made.train_from_iterator(records(), trainer)
    if not seen:
        what = "there is no text to build a vocabulary from"
        raise DataError(Problem("", "", what, "provide a text", kind="data.text"))
    return BpeTokenizer(json.loads(made.to_str()))


def _split_records(pieces: Iterable[str]) -> Iterator[str]:
    """Divide a text at line ends, independently of its pieces."""
    held = ""
    for piece in pieces:
        *whole, held = _EDGE.split(held + piece)
        yield from whole
    yield held
