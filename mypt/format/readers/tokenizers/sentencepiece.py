"""Vocabularies of sentencepiece, and the `tokenizer.json` that makes the same ids of a text."""

from __future__ import annotations

import base64
import re
from enum import IntEnum
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.parts import (
    make_added_token,
    make_document,
    make_sequence,
    make_template,
    replace,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Document = Mapping[str, Any]

SPACE = "\u2581"  # how a space is spelt in a piece
# The squares of the lengths of all pieces, as finding the parts of each takes so long.
_MAX_SQUARES = 1 << 30

Kind = Literal["unigram", "bpe", "word", "char"]


class PieceType(IntEnum):
    """What a piece is, by the numbers of sentencepiece's files and of GGUF's metadata."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@frozen
class SentencePieces:
    """A vocabulary of sentencepiece, and what is done to a text before it is split.

    Attributes:
        pieces: The pieces in the order of their ids, with U+2581 for a space.
        scores: The score of each; of a byte-pair encoding, the highest is merged first.
        types: The type of each, of `PieceType`.
        kind: How a text is split into pieces.
        byte_fallback: Whether the bytes of an unknown character are taken instead.
        add_dummy_prefix: Whether a text begins with one more space.
        remove_extra_whitespaces: Whether only single spaces between words are kept.
        escape_whitespaces: Whether a space is spelt U+2581 in pieces.
        normalizer: The name of the rule by which characters are replaced, such as `nmt_nfkc`.
        charsmap: The table of that rule, as sentencepiece compiles it; b"" for none.
        unk: The id of the unknown piece.
        bos: The id of the piece that begins a text; -1 for none.
        eos: The id of the piece that ends a text; -1 for none.
        pad: The id of padding; -1 for none.
    """

    pieces: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]
    kind: Kind = "bpe"
    byte_fallback: bool = True
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = False
    escape_whitespaces: bool = True
    normalizer: str = ""
    charsmap: bytes = b""
    unk: int = 0
    bos: int = 1
    eos: int = 2
    pad: int = -1

    def select(self, *types: PieceType) -> list[tuple[int, str]]:
        """Return the ids and the pieces of some types."""
        return list(compress(enumerate(self.pieces), [held in types for held in self.types]))


def make_sentencepiece(
    held: SentencePieces, file: str, *, finds_marks: bool = True, add_bos: bool = False
) -> dict[str, Any]:
    """Return the `tokenizer.json` that makes of a text the ids that sentencepiece makes.

    Args:
        held: The vocabulary.
        file: Where it is from, for messages.
        finds_marks: Whether the text of a control piece, such as `</s>`, becomes its id, as in
            programs that write chats; sentencepiece itself takes it for text. They are found in
            any case where the vocabulary is of the kind `unigram`.
        add_bos: Whether the program puts the piece that begins a text before each text; `encode`
            does not.

    Raises:
        FormatError: Two pieces have one text, or it splits a text as `tokenizers` cannot.
    """
    _check(held, file)
    is_unigram = held.kind == "unigram"
    marks = held.select(PieceType.CONTROL, PieceType.UNKNOWN) if finds_marks or is_unigram else []
    own = [] if is_unigram else held.select(PieceType.USER_DEFINED)
    added = [make_added_token(n, text, special=True) for n, text in marks]
    added += [make_added_token(n, text, special=False, normalized=True) for n, text in own]
    begin = [(held.pieces[held.bos], held.bos)] if add_bos and held.bos >= 0 else []
    return make_document(
        _make_model(held),
        added_tokens=sorted(added, key=lambda token: token["id"]),
        normalizer=make_sequence("normalizers", list(_list_normalizers(held, own))),
        post_processor=make_template(begin) if begin else None,
        decoder=make_sequence("decoders", list(_list_decoders(held))),
    )


def list_merges(held: SentencePieces) -> list[list[str]]:
    """Return the merges of a byte-pair encoding, the first one first.

    sentencepiece merges the pair whose piece has the highest score. Here each pair of pieces that
    makes a piece is a merge.
    """
    normal = {piece: number for number, piece in held.select(PieceType.NORMAL)}
    return order_merges(normal, lambda number: -held.scores[number])


def order_merges(vocab: Mapping[str, int], rank: Callable[[int], float]) -> list[list[str]]:
    """Return each pair of pieces that makes a piece.

    Args:
        vocab: The ids of the pieces.
        rank: The rank of a piece by its id; the lowest is merged first.
    """
    made = [
        (rank(number), number, cut, piece)
        for piece, number in vocab.items()
        for cut in range(1, len(piece))
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    return [[piece[:cut], piece[cut:]] for *_, cut, piece in sorted(made)]


def _check(held: SentencePieces, file: str) -> None:
    if len(set(held.pieces)) < len(held.pieces):
        raise _make_error(file, "has two pieces of the same text")
    if held.kind == "bpe" and sum(len(piece) ** 2 for piece in held.pieces) > _MAX_SQUARES:
        raise _make_error(file, "has longer pieces than any vocabulary")
    if held.kind == "word":
        raise _make_error(file, "is of sentencepiece's type `word`, which mypt cannot run")
    if not 0 <= held.unk < len(held.pieces):
        raise _make_error(file, f"has no piece of the id {held.unk}, which its unknown one has")


def _make_error(file: str, what: str) -> FormatError:
    fix = "open the model with `--option tokenizer=none`, as one of bare ids"
    return FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))


def _make_model(held: SentencePieces) -> Document:
    unknown = held.pieces[held.unk]
    if held.kind == "unigram":
        return {
            "type": "Unigram",
            "unk_id": held.unk,
            "vocab": [list(pair) for pair in zip(held.pieces, _list_scores(held), strict=True)],
            "byte_fallback": held.byte_fallback,
        }
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": held.byte_fallback,
        "ignore_merges": False,
        "vocab": {piece: number for number, piece in enumerate(held.pieces)},
        "merges": list_merges(held) if held.kind == "bpe" else [],
    }


def _list_scores(held: SentencePieces) -> list[float]:
    """Return the scores of a unigram vocabulary; those of the user's own pieces win any other.

    Source: sentencepiece 0.2, whose scores of a text the tests compare.
    """
    own = {n: 0.1 * (len(text.encode()) - 1) for n, text in held.select(PieceType.USER_DEFINED)}
    return [own.get(number, score) for number, score in enumerate(held.scores)]


def _list_normalizers(held: SentencePieces, own: Sequence[tuple[int, str]]) -> Iterator[Document]:
    if held.charsmap:
        if "nfkc" in held.normalizer:  # `tokenizers` does not compose what the table composes
            yield {"type": "NFKC"}
        charsmap = base64.b64encode(held.charsmap).decode()
        yield {"type": "Precompiled", "precompiled_charsmap": charsmap}
    if held.remove_extra_whitespaces:
        yield replace(r"\A +", "", regex=True)
        yield replace(" {2,}", " ", regex=True)
    space = SPACE if held.escape_whitespaces else " "
    if held.escape_whitespaces:
        yield replace(" ", SPACE)
    if held.add_dummy_prefix and not own:
        yield {"type": "Prepend", "prepend": space}
    elif held.add_dummy_prefix:
        # Added tokens are normalized too, and are looked for as they are then: without the prefix.
        texts = "|".join(re.escape(text) for _, text in own)
        yield replace(rf"\A(?!(?:{texts})\z)(?=[\s\S])", space, regex=True)
    if held.remove_extra_whitespaces:
        yield replace(rf"{space}+\z", "", regex=True)


def _list_decoders(held: SentencePieces) -> Iterator[Document]:
    if held.escape_whitespaces:
        yield replace(SPACE, " ")
    if held.byte_fallback:
        yield {"type": "ByteFallback"}
    yield {"type": "Fuse"}
    if held.add_dummy_prefix:
        yield {"type": "Strip", "content": " ", "start": 1, "stop": 0}
