"""Tokenizers of foreign models, from files beside them or from options."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.documents.special_tokens import END_OF_TEXT, END_OF_TEXT_ID
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.tokenizer_json import read_tokenizer_json
from mypt.format.rules.requirements import REQUIRES, make_feature
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]

VERSION = {"format_version": FORMAT_VERSION}
GPT2: Document = {**VERSION, "token_kind": "gpt2"}
# The package whose section holds a complete tokenizer.json of Hugging Face, and its token_kind.
BPE_PACKAGE, BPE_KIND = "mypt-bpe", "bpe"
# SHA-256 of the tokens in the order of their ids and the 50000 merges, one per line (see
# `digest_bpe`); a test computes it from the ranks that mypt ships.
GPT2_SHA256 = "f43edfac33636658415b555d8c9565b369628e2ae2b143b6e19e119db456b3cf"

# GPT-2's tokenizer has none of these.
_BPE_SETTINGS = (
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
)

_END = (END_OF_TEXT, END_OF_TEXT_ID)

_FIX = "use the one that this model was trained with"

NO_TOKENIZER = "none"
CHARS_OPTION = {
    "type": "string",
    "minLength": 1,
    "description": "The characters of the vocabulary, in the order of their ids.",
}
TOKENIZER_OPTION = {
    "enum": [NO_TOKENIZER],
    "description": "none: open the model without a tokenizer, as one of bare ids.",
}


def _make_size_error(file: str, held: str, vocab_size: int) -> FormatError:
    what = f"{held}, but the model has {vocab_size} rows"
    return FormatError(Problem(file, "", what, _FIX, kind="foreign.vocabulary"))


def make_char_document(
    chars: Sequence[str], vocab_size: int, where: str, report: list[str]
) -> Document:
    """Return the document of a character vocabulary.

    Args:
        chars: The characters in the order of their ids.
        vocab_size: Rows of the model.
        where: Where they come from, for messages.
        report: Takes a line if the model has more rows than there are characters.

    Raises:
        FormatError: They are not single and distinct, or more than the model has rows.
    """
    if any(len(char) != 1 for char in chars) or len(set(chars)) < len(chars):
        what = "holds something other than distinct single characters"
        raise FormatError(Problem(where, "", what, _FIX, kind="foreign.vocabulary"))
    if len(chars) > vocab_size:
        raise _make_size_error(where, f"has {len(chars)} different characters", vocab_size)
    if len(chars) < vocab_size:
        what = f"{len(chars)} characters for the {vocab_size} rows of the model"
        report.append(f"{where} has {what}: the rows beyond them have no text")
    return {**VERSION, "token_kind": "char", "chars": list(chars)}


def list_by_id(table: Any) -> list[Any] | None:
    """Return what a table says of the ids 0, 1, ..., in this order; None if it is no such table.

    Args:
        table: A sequence, or a dict by id, such as `itos` of nanoGPT's `meta.pkl`.
    """
    held = dict(enumerate(table)) if isinstance(table, list | tuple) else table
    if not isinstance(held, dict) or not held or set(held) != set(range(len(held))):
        return None
    return [held[number] for number in range(len(held))]


def read_char_document(path: str, vocab_size: int) -> Document:
    """Return the document of the sorted characters of a text, as many as the model has rows.

    Raises:
        FormatError: The text does not exist, is not UTF-8, or has another number of characters.
    """
    found: set[str] = set()
    try:
        with Path(path).open(encoding="utf-8") as stream:  # newlines as its program read them
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read as text: {error}"
        raise FormatError(Problem(path, "", what, "name a UTF-8 file", kind="file")) from error
    if len(found) != vocab_size:  # its program made a row for each
        raise _make_size_error(path, f"has {len(found)} different characters", vocab_size)
    return make_char_document(sorted(found), vocab_size, path, [])


def read_hugging_face_document(path: Path, vocab_size: int, report: list[str]) -> Document:
    """Return the document of a `tokenizer.json`, as `convert_hugging_face_document` does.

    Raises:
        FormatError: It is not a strict JSON object, or has ids that the model has no rows for.
        OSError: It cannot be read.
    """
    return convert_hugging_face_document(read_tokenizer_json(path), str(path), vocab_size, report)


def convert_hugging_face_document(
    document: dict[str, Any], file: str, vocab_size: int, report: list[str]
) -> Document:
    """Return mypt's document of a tokenizer: GPT-2's by its name, any other in full.

    Args:
        document: The content of a `tokenizer.json`.
        file: Where it is from, for messages.
        vocab_size: Rows of the model.
        report: Takes a line for each added token that the model has no row for. Such a token, as
            the `[PAD]` that people add for batches of training, is left out.

    Raises:
        FormatError: It has ids that the model has no rows for.
    """
    document = _drop_added_tokens_beyond(document, vocab_size, report)
    highest = max(_list_ids(document), default=-1)
    if highest >= vocab_size:
        raise _make_size_error(file, f"has the id {highest}", vocab_size)
    if is_gpt2(document):
        special = {token["content"]: token["id"] for token in document.get("added_tokens") or []}
        return {**GPT2, "special_token_encoder": special}
    section = {BPE_PACKAGE: {"tokenizer": document}}
    required = [make_feature(BPE_PACKAGE)]
    return {**VERSION, "token_kind": BPE_KIND, "plugins": section, REQUIRES: required}


def _drop_added_tokens_beyond(
    document: dict[str, Any], vocab_size: int, report: list[str]
) -> dict[str, Any]:
    """Leave out the added tokens that the model has no row for."""
    added = document.get("added_tokens")
    if not isinstance(added, list):
        return document
    beyond = [token for token in added if _has_id_beyond(token, vocab_size)]
    report += [
        f"the token {token.get('content')!r} is left out: its id is {token['id']}, and the model "
        f"has {vocab_size} rows"
        for token in beyond
    ]
    kept = [token for token in added if token not in beyond]
    return {**document, "added_tokens": kept} if beyond else document


def _has_id_beyond(token: object, vocab_size: int) -> bool:
    number = token.get("id") if isinstance(token, dict) else None
    return isinstance(number, int) and number >= vocab_size


def is_gpt2(document: Mapping[str, Any]) -> bool:
    """Return whether a Hugging Face `tokenizer.json` is GPT-2's, apart from special tokens."""
    match document:
        case {
            "model": {"type": "BPE", "vocab": dict() as vocab, "merges": list() as merges} as model,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False} as pieces,
        }:
            pass
        case _:
            return False
    otherwise = [document.get("normalizer"), *(model.get(name) for name in _BPE_SETTINGS)]
    if any(otherwise) or not pieces.get("use_regex", True):
        return False
    if not _are_plain(document.get("added_tokens") or []):
        return False
    if not _adds_nothing(document.get("post_processor")):
        return False
    return digest_bpe(vocab, merges) == GPT2_SHA256


def digest_bpe(vocab: Mapping[str, Any], merges: Sequence[Any]) -> str:
    """Return the SHA-256 of a byte-pair vocabulary; "" if its ids are not those of GPT-2."""
    tokens = {number: token for token, number in vocab.items() if number != END_OF_TEXT_ID}
    if set(tokens) != set(range(END_OF_TEXT_ID)):
        return ""
    lines = [tokens[number] for number in range(END_OF_TEXT_ID)]
    lines += [merge if isinstance(merge, str) else " ".join(map(str, merge)) for merge in merges]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _are_plain(added: Sequence[Any]) -> bool:
    """Return whether added tokens are as mypt's special tokens: texts with ids above the rest."""
    texts = [
        token
        for token in added
        if isinstance(token, dict)
        and isinstance(token.get("content"), str)
        and isinstance(token.get("id"), int)
        and not any(token.get(flag) for flag in ("single_word", "lstrip", "rstrip"))
        and (token["id"] > END_OF_TEXT_ID or (token["content"], token["id"]) == _END)
    ]
    return len(texts) == len(added)


def _adds_nothing(processor: Any) -> bool:
    """Return whether a post-processor adds no token to a text, as GPT-2's does not."""
    match processor:
        case (
            None
            | {"type": "ByteLevel"}
            | {"type": "TemplateProcessing", "single": [{"Sequence": _}]}
        ):
            return True
    return False


def _list_ids(document: Mapping[str, Any]) -> list[int]:
    model = document.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    added = document.get("added_tokens")
    numbers = list(vocab.values()) if isinstance(vocab, dict) else []
    if isinstance(vocab, list):  # Unigram: pairs of a token and its score
        numbers = [*range(len(vocab))]
    numbers += [token.get("id") for token in added or [] if isinstance(token, dict)]
    return [number for number in numbers if isinstance(number, int)]
