"""The ids of a text, in as few bytes as its vocabulary allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from mypt.chat.special_text import OrdinaryEncoder
from mypt.data.document_ends import DocumentEncoder
from mypt.data.text import join_by_newlines, shift_place
from mypt.format.errors import DataError, Problem
from mypt.plugins.contracts.tokenizer import DivisibleTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from mypt.plugins.contracts.tokenizer import Tokenizer

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
        whole text encoded at once. None is of a special token, whatever the text spells.

    Raises:
        DataError: The text has a character that the vocabulary lacks, or an id is out of range.
    """
    encode = OrdinaryEncoder.of(tokenizer).encode
    blocks = _encode_blocks(pieces, tokenizer, encode, source)
    return _collect(blocks, vocab_size, source)


def encode_documents(
    documents: Iterable[Iterable[str]], tokenizer: Tokenizer, vocab_size: int, source: str
) -> Ids:
    """Encode documents, with the id of `<|endoftext|>` or a newline between two of them.

    Args:
        documents: Each in pieces, which are read before the next document.
        tokenizer: As in `encode_text`; see `DocumentEncoder` for what stands between documents.
        vocab_size: As in `encode_text`.
        source: As in `encode_text`.

    Returns:
        As `encode_text`.

    Raises:
        DataError: As in `encode_text`.
    """
    encoder = DocumentEncoder.of(tokenizer)
    if encoder.end_id is None:
        return encode_text(join_by_newlines(documents), tokenizer, vocab_size, source)
    return _collect(_encode_each(documents, encoder, encoder.end_id, source), vocab_size, source)


def _encode_each(
    documents: Iterable[Iterable[str]], encoder: DocumentEncoder, end_id: int, source: str
) -> Iterator[NDArray[np.uint32]]:
    end = np.array([end_id], np.uint32)
    for number, document in enumerate(documents, start=1):
        if number > 1:
            yield end
        name = source if number == 1 else f"{source}, document {number}"
        yield from _encode_blocks(document, encoder.tokenizer, encoder.encode, name)


def _encode_blocks(
    pieces: Iterable[str],
    tokenizer: Tokenizer,
    encode: Callable[[str], NDArray[np.uint32]],
    source: str,
) -> Iterator[NDArray[np.uint32]]:
    """Yield the ids of consecutive blocks of a text."""
    lines = columns = 0
    for block in _cut_blocks(pieces, tokenizer):
        try:
            yield encode(block)
        except DataError as error:  # it knows the place in the block alone
            raise DataError(
                *(
                    evolve(problem, file=source, where=shift_place(problem.where, lines, columns))
                    for problem in error.problems
                )
            ) from error
        lines += block.count("\n")
        columns = len(block) - 1 - block.rfind("\n") + (0 if "\n" in block else columns)


def _collect(blocks: Iterable[NDArray[np.uint32]], vocab_size: int, source: str) -> Ids:
    """Return ids in as few bytes as the vocabulary allows."""
    dtype = np.min_scalar_type(vocab_size - 1)
    ids = bytearray()  # grows in place
    for block in blocks:
        check_ids(int(block.max(initial=0)), vocab_size, source)
        ids += block.astype(dtype).data
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
