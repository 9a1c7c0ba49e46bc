"""Byte-level byte-pair encodings: GPT-2's, and those that split a text into other words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.tokenizers.parts import make_document, make_sequence, make_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]


def make_byte_bpe(
    vocab: Mapping[str, int],
    merges: Sequence[Sequence[str]],
    *,
    added_tokens: Sequence[Document] = (),
    words: Sequence[Document] = (),
    add_prefix_space: bool = False,
    normalizer: Document | None = None,
    ignore_merges: bool = False,
    begin: Sequence[tuple[str, int]] = (),
    end: Sequence[tuple[str, int]] = (),
) -> dict[str, Any]:
    """Return the `tokenizer.json` of a byte-level byte-pair encoding.

    Args:
        vocab: The ids of the tokens, spelt as GPT-2's: a character for each byte.
        merges: The two parts of each merge, the first merge first.
        added_tokens: Tokens that are found in a text as they are (`make_added_token`).
        words: Steps that split a text into words (`make_split`, `DIGITS`), in place of GPT-2's
            pattern.
        add_prefix_space: Whether a text that begins with no space is given one.
        normalizer: What is done to a text first, such as NFC.
        ignore_merges: Whether a word that is a token needs no merges.
        begin: Texts and ids of the tokens that the program puts before a text; `encode` does not.
        end: Those after it.
    """
    as_bytes = {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": not words,
    }
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": ignore_merges,
        "vocab": dict(vocab),
        "merges": [list(merge) for merge in merges],
    }
    return make_document(
        model,
        added_tokens=sorted(added_tokens, key=lambda token: token["id"]),
        normalizer=normalizer,
        pre_tokenizer=make_sequence("pretokenizers", [*words, as_bytes]),
        post_processor=make_template(begin, end) if begin or end else None,
        decoder={
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
    )
