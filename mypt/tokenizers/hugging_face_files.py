"""The built-in tokenizers as documents of Hugging Face's `tokenizers`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mypt.format.documents.special_tokens import END_OF_TEXT, END_OF_TEXT_ID
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.text_rules import list_tokens, list_vocab

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNKNOWN = "<unk>"  # longer than a character, so that no vocabulary of characters has it
_ANY_CHARACTER = r"[\s\S]"
_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def char_documents(chars: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the documents of a vocabulary of characters: a word for each.

    Raises:
        FormatError: A character is half of a surrogate pair, which `tokenizers` cannot read.
    """
    for char in chars:
        _require(not _has_surrogate(char), f"the character U+{ord(char):04X} cannot be encoded")
    split = {"type": "Split", "pattern": {"Regex": _ANY_CHARACTER}, "behavior": "Isolated"}
    vocab = {char: number for number, char in enumerate(chars)}
    document = _make_document(
        added_tokens=[],
        pre_tokenizer={**split, "invert": False},
        decoder={"type": "Fuse"},
        model={"type": "WordLevel", "vocab": vocab, "unk_token": _UNKNOWN},
    )
    return {"tokenizer": document}


def gpt2_documents(
    ranks: Mapping[bytes, int], special: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Return the documents of GPT-2's byte pairs with special tokens of a checkpoint.

    `<|endoftext|>` is a word that no text contains, unless it is one of the special tokens.

    Args:
        ranks: Ids of the byte sequences, which are also the order of merging.
        special: Ids of the special tokens, by their text.

    Raises:
        FormatError: `tokenizers` would take a special token for another one, or decode it to
            another text.
    """
    spelt = {_spell(token): rank for token, rank in ranks.items()}
    vocab = {**spelt, END_OF_TEXT: END_OF_TEXT_ID, **special}
    for text, number in special.items():
        _require(spelt.get(text, number) == number, f"{text!r} is also an ordinary token")
        is_spelling = not text.isascii() and set(text) <= set(_CHARS)
        _require(not is_spelling, f"{text!r} would be decoded as the spelling of bytes")
        _require(not _has_surrogate(text), f"{text!r} cannot be encoded")
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    level["use_regex"] = True
    settings = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    document = _make_document(
        added_tokens=[
            {"id": number, "content": text, **_PLAIN, "special": True}
            for text, number in sorted(special.items(), key=lambda item: item[1])
        ],
        pre_tokenizer=level,
        decoder=level,
        model={
            "type": "BPE",
            **dict.fromkeys(settings),
            **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False),
            "vocab": vocab,
            "merges": [list(map(_spell, pair)) for pair in find_merges(ranks)],
        },
    )
    return {"tokenizer": document}


def add_tokens(document: Mapping[str, Any], special: Mapping[str, int]) -> dict[str, Any]:
    """Return a `tokenizer.json` with special tokens beyond those that it has.

    `tokenizers` numbers added tokens itself, one after another. Where there are gaps, they are put
    into the model's own vocabulary, where it looks first.

    Args:
        document: The tokenizer.
        special: Ids of the special tokens, by their text.

    Raises:
        FormatError: `tokenizers` would give a special token another id, or decode it to another
            text.
    """
    if not special:
        return dict(document)
    model, known = dict(document["model"]), list_tokens(document)
    spells_bytes = _decodes_bytes(document.get("decoder") or {})
    for text, number in special.items():
        _require(known.get(text, number) == number, f"{text!r} is also an ordinary token")
        is_spelling = spells_bytes and not text.isascii() and set(text) <= set(_CHARS)
        _require(not is_spelling, f"{text!r} would be decoded as the spelling of bytes")
        _require(not _has_surrogate(text), f"{text!r} cannot be encoded")
    is_dense = len({*known.values()}) == 1 + max(known.values(), default=-1)
    following = range(len({*known.values()}), len({*known.values()}) + len(special))
    if not is_dense or [*following] != sorted(special.values()):
        vocab = list_vocab(model)
        is_within = isinstance(model.get("vocab"), dict) and known.keys() == vocab.keys()
        _require(is_within, "the ids of its special tokens have gaps")
        model["vocab"] = {**vocab, **special}
    added = [
        {"id": number, "content": text, **_PLAIN, "special": True}
        for text, number in sorted(special.items(), key=lambda item: item[1])
    ]
    tokens = [*(document.get("added_tokens") or []), *added]
    return {**document, "added_tokens": tokens, "model": model}


def _decodes_bytes(decoder: Mapping[str, Any]) -> bool:
    """Return whether the characters of a token stand for bytes."""
    steps = decoder.get("decoders", [decoder])
    return any(step.get("type") == "ByteLevel" for step in steps)


def find_merges(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Return the pair that was merged to each token of several bytes, in the order of the ranks.

    The pair is what the merges before it leave of the token.
    """
    longer = sorted((rank, token) for token, rank in ranks.items() if len(token) > 1)
    return [_merge_below(token, rank, ranks) for rank, token in longer]


def _merge_below(token: bytes, most: int, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """Apply the merges of a rank below `most` to the bytes of a token; two parts are left."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 2:
        places = [ranks.get(left + right, most) for left, right in pairwise(parts)]
        best = places.index(min(places))
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], parts[1]


def _make_document(**fields: Any) -> dict[str, Any]:
    """Return a `tokenizer.json`, with its fields in the order of `tokenizers`."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": fields["added_tokens"],
        "normalizer": None,
        "pre_tokenizer": fields["pre_tokenizer"],
        "post_processor": None,
        "decoder": fields["decoder"],
        "model": fields["model"],
    }


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _require(condition: bool, what: str) -> None:
    if not condition:
        fix = "use mypt itself"
        raise FormatError(Problem("the tokenizer", "", what, fix, kind="export.unsupported"))


def _spell(token: bytes) -> str:
    """Return the characters that stand for bytes in a byte-level vocabulary."""
    return "".join([_CHARS[byte] for byte in token])


def _list_chars() -> list[str]:
    """Return the character that stands for each byte.

    Source: `bytes_to_unicode` of OpenAI's GPT-2 `encoder.py`.
    """
    printable = {*range(ord("!"), 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(0x100)]


_CHARS = _list_chars()
