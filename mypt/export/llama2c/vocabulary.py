"""The tokenizer of a model as llama2.c's `tokenizer.bin`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.vocabulary import BPE_PACKAGE
from mypt.format.readers.tokenizers.sentencepiece import SPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.plugins.contracts.exporter import ModelToExport

    Token = tuple[float, bytes]

_BOS, _FIRST_BYTE = 1, 3
_MARKS = {0: "<unk>", _BOS: "<s>", 2: "</s>"}
# A token that run.c prints as nothing; it takes none of no bytes.
_NOTHING = b"<0x00>"
_NEVER = -1e10  # the score of tokens that no merge makes: run.c asks for a higher one


def pack_vocabulary(tokens: Sequence[Token]) -> bytes:
    """Return the content of a `tokenizer.bin`.

    Args:
        tokens: The score and the bytes of each token, in the order of their ids.
    """
    parts = [struct.pack("<i", max(len(text) for _, text in tokens))]
    parts += [struct.pack("<fi", score, len(text)) + text for score, text in tokens]
    return b"".join(parts)


def list_tokens(model: ModelToExport) -> tuple[list[Token], list[str]]:
    """Return the tokens of all rows of a model, and notes on texts that `run.c` reads otherwise.

    Args:
        model: A model with a tokenizer.
    """
    state = model.tokenizer
    document = {} if state is None else state.plugins.get(BPE_PACKAGE, {}).get("tokenizer", {})
    if _is_sentencepiece(document):
        tokens = _list_pieces(document["model"])
        notes = [] if document.get("post_processor") else [_describe_begin(tokens)]
    else:
        tokenizer = model.build_tokenizer()
        texts = [tokenizer.decode_bytes([number]) for number in range(tokenizer.n_vocab)]
        tokens = {number: (-float(number), text) for number, text in enumerate(texts)}
        notes = [
            _describe_begin(tokens),
            "run.c encodes texts otherwise than the tokenizer of the model does: it merges across "
            "words",
        ]
    rows = [tokens.get(number, (_NEVER, _NOTHING)) for number in range(model.config.vocab_size)]
    return [(score, _settle(text)) for score, text in rows], notes


def _is_sentencepiece(document: Mapping[str, Any]) -> bool:
    """Return whether a `tokenizer.json` is what `run.c` expects: marks, bytes, and merges."""
    held = document.get("model", {})
    vocab = held.get("vocab", {})
    if held.get("type") != "BPE" or not held.get("byte_fallback"):
        return False
    wanted = {mark: number for number, mark in _MARKS.items()}
    wanted |= {f"<0x{byte:02X}>": _FIRST_BYTE + byte for byte in range(256)}
    return all(vocab.get(piece) == number for piece, number in wanted.items())


def _list_pieces(model: Mapping[str, Any]) -> dict[int, Token]:
    """Return the tokens by id; one that is merged earlier has a higher score."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault("".join(pair), rank)
    found = {}
    for piece, number in model["vocab"].items():
        score = -float(ranks[piece]) if piece in ranks else _NEVER
        is_mark = number in _MARKS and number > 0
        text = f"\n{piece}\n" if is_mark else piece.replace(SPACE, " ")
        found[number] = score, text.encode()
    return found


def _describe_begin(tokens: Mapping[int, Token]) -> str:
    _, text = tokens.get(_BOS, (0.0, b""))
    return (
        f"run.c begins each text with the id {_BOS} and a space, and ends one there: in this "
        f"vocabulary it is {text.decode('utf-8', 'replace')!r}"
    )


def _settle(text: bytes) -> bytes:
    """Return a token as C can read it: of some bytes, none of them 0."""
    return _NOTHING if not text or 0 in text else text
