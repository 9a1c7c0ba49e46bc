"""The ids of a text, in as few bytes as its vocabulary allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from mypt.data.text import shift_place
from mypt.format.errors import DataError, Problem
from mypt.plugins.contracts import DivisibleTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from mypt.plugins.contracts import Tokenizer

    Ids = NDArray[np.unsignedinteger[Any]]

_BLOCK = 1 << 22  # characters encoded at once, where the tokenizer lets a text be cut


def encode_text(pieces: Iterable[str], tokenizer: Tokenizer, vocab_size: int, source: str) -> Ids:
    """Encode a text, a block at a time, so that little but the ids is in memory.

    Args:
        pieces: The text; the result does not depend on how it is divided.
        tokenizer: Encodes it; one that cannot say where a text may be cut gets it whole.
        vocab_size: What all ids must be below.
        source: Name of the text, for messages.

    Returns:
        (N,) uint8, uint16 or uint32, the first that holds all ids below `vocab_size`: those of the
        whole text encoded at once.

    Raises:
        DataError: The text has a character that the vocabulary lacks, or an id is out of range.
    """
    dtype = np.min_scalar_type(vocab_size - 1)
    ids = bytearray()  # grows in place
    lines = columns = 0
    for block in _cut_blocks(pieces, tokenizer):
        try:
            part = tokenizer.encode_array(block)
        except DataError as error:  # it knows the place in the block alone
            raise DataError(
                *(
                    evolve(problem, file=source, where=shift_place(problem.where, lines, columns))
                    for problem in error.problems
                )
            ) from error
        check_ids(int(part.max(initial=0)), vocab_size, source)
        ids += part.astype(dtype).data
        lines += block.count("\n")
        columns = len(block) - 1 - block.rfind("\n") + (0 if "\n" in block else columns)
    return np.frombuffer(ids, dtype)


def check_ids(highest: int, vocab_size: int, source: str) -> None:
    """Raise if the highest id of some data is beyond the vocabulary.

    Raises:
        DataError: It is.
    """
    if highest >= vocab_size:
        what = f"holds the id {highest}, but vocab_size is {vocab_size}"
        fix = "use the tokenizer that the data was prepared with"
        raise DataError(Problem(source, "", what, fix))


def _cut_blocks(pieces: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield a text in blocks that have the ids of the whole, one after another."""
    if not isinstance(tokenizer, DivisibleTokenizer):
        yield "".join(pieces)
        return
    held: list[str] = []
    size, wanted = 0, _BLOCK
    for piece in _split_long(pieces):
        held.append(piece)
        size += len(piece)
        if size < wanted:
            continue
        text = "".join(held)
        place = tokenizer.cut(text, size - size // 16)
        if place is None:  # look again when there is as much once more
            held, wanted = [text], 2 * size
            continue
        yield text[:place]
        held, size, wanted = [text[place:]], size - place, _BLOCK
    yield "".join(held)


def _split_long(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        if len(piece) <= _BLOCK:
            yield piece
        else:
            yield from (piece[start : start + _BLOCK] for start in range(0, len(piece), _BLOCK))
