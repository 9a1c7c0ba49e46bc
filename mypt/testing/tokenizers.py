"""Check a tokenizer: round trips, state, schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mypt.chat.special_text import find_special_texts
from mypt.format.errors import DataError
from mypt.format.rules.documents import document_problems
from mypt.format.storage import files
from mypt.format.version import FORMAT_VERSION
from mypt.plugins.contracts.tokenizer import (
    DivisibleTokenizer,
    ExportableTokenizer,
    GuardedTokenizer,
    TokenizerFactory,
)
from mypt.testing.expectations import ContractError, check_fields, during, expect, through_json
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.plugins.contracts.tokenizer import Tokenizer

TEXT = (
    "The cat sat on the mat.\n\nIt didn't   sit there for 1234 seconds,\tdid it?\r\n"
    "    indented: naïve café, 你好世界, 👩\u200d👧, <|endoftext|>\n"
) * 8
_FOREIGN = ("Ωμέγα \x00\x7f", "\U0001f9ff unseen", "\ud800 half a pair")


@during("the tokenizer")
def check_tokenizer(
    factory: TokenizerFactory,
    text: str = TEXT,
    options: Mapping[str, Any] | None = None,
    *,
    is_lossless: bool = True,
) -> Tokenizer:
    """Check that a tokenizer does what models and bundles need.

    Args:
        factory: As the plugin offers it.
        text: What it is trained on and tested with.
        options: Options of the training, where the factory has `train_options`.
        is_lossless: Whether every text that it encodes must be decoded to the same text.

    Returns:
        The trained tokenizer, for further checks.

    Raises:
        ContractError: The tokenizer violates its contract.
    """
    check_fields(factory, TokenizerFactory)
    with during("training"):
        tokenizer = factory.trained_on([text], options)
    _check_sizes(factory, tokenizer)
    _check_training(factory, tokenizer, text, options)
    samples = ["", text, *text.splitlines(keepends=True), text[1::3], " ", "\n\n"]
    known = [sample for sample in samples if _encode_or_none(tokenizer, sample) is not None]
    expect(text in known, "it cannot encode the text that it was trained on")
    for sample in known:
        _check_text(tokenizer, sample, is_lossless=is_lossless)
    for sample in _FOREIGN:
        _encode_or_none(tokenizer, sample)
    _check_every_id(tokenizer)
    _check_state(factory, tokenizer, known)
    if isinstance(tokenizer, DivisibleTokenizer):
        _check_cuts(tokenizer, text)
    if isinstance(tokenizer, ExportableTokenizer):
        _check_export(tokenizer, known)
    if isinstance(tokenizer, GuardedTokenizer):
        _check_ordinary(tokenizer, known, is_lossless=is_lossless)
    return tokenizer


def _check_sizes(factory: TokenizerFactory, tokenizer: Tokenizer) -> None:
    kind, n_vocab, rows = tokenizer.token_kind, tokenizer.n_vocab, tokenizer.vocab_size
    expect(
        kind == factory.token_kind,
        f"its token_kind is {kind!r}, but it is registered as {factory.token_kind!r}",
    )
    expect(type(n_vocab) is int and n_vocab > 0, f"n_vocab is {n_vocab!r}, not a number of ids")
    expect(
        type(rows) is int and rows >= n_vocab,
        f"vocab_size is {rows!r}, which has no row for each of the {n_vocab} ids",
    )


def _check_training(
    factory: TokenizerFactory, tokenizer: Tokenizer, text: str, options: Mapping[str, Any] | None
) -> None:
    state = tokenizer.state()
    again = factory.trained_on([text], options).state()
    expect(state == again, "trained twice on one text, it has two different states")
    for size in (1, 7, max(1, len(text) // 2)):
        pieces = (text[start : start + size] for start in range(0, len(text), size))
        with during("training on a text in pieces"):
            pieced = factory.trained_on(pieces, options).state()
        expect(
            state == pieced,
            f"trained on the text in pieces of {size} characters, it differs from the whole's",
        )


def _encode_or_none(tokenizer: Tokenizer, text: str) -> list[int] | None:
    """Return the ids of a text; None where the tokenizer raises that it cannot encode it."""
    try:
        return tokenizer.encode(text)
    except DataError:
        return None
    except Exception as error:
        message = f"encode({text!r:.60}) raises {type(error).__name__}, not a DataError: {error}"
        raise ContractError(message) from error


def _check_text(tokenizer: Tokenizer, text: str, *, is_lossless: bool) -> None:
    ids = tokenizer.encode(text)
    shown = f"{text!r:.60}"
    expect(
        isinstance(ids, list) and all(type(number) is int for number in ids),
        f"encode({shown}) does not return a list of integers",
    )
    outside = [number for number in ids if not 0 <= number < tokenizer.n_vocab]
    expect(not outside, f"encode({shown}) returns {outside[:3]}, of {tokenizer.n_vocab} ids")
    array = tokenizer.encode_array(text)
    expect(
        isinstance(array, np.ndarray) and array.dtype == np.uint32 and array.ndim == 1,
        f"encode_array({shown}) does not return an array (N,) of uint32",
    )
    expect(array.tolist() == ids, f"encode_array({shown}) returns other ids than encode")
    if not is_lossless:
        return
    back = tokenizer.decode(ids)
    expect(back == text, f"{shown} is decoded to {back!r:.60}")
    expect(tokenizer.decode(iter(array)) == text, "decode accepts a list, but not numpy integers")
    whole = tokenizer.decode_bytes(ids)
    expect(whole == text.encode(), f"decode_bytes returns {whole[:60]!r} for {shown}")
    expect(
        b"".join(tokenizer.decode_bytes([number]) for number in ids) == whole,
        f"the bytes of {shown} differ when its tokens are decoded one at a time, as a stream does",
    )


def _check_ordinary(tokenizer: Any, samples: Sequence[str], *, is_lossless: bool) -> None:
    special = find_special_texts(tokenizer)
    spelt = [text for text in special if _encode_or_none(tokenizer, text) is not None]
    for sample in (*samples, *spelt):
        shown = f"{sample!r:.60}"
        ids = tokenizer.encode_ordinary(sample)
        expect(
            isinstance(ids, np.ndarray) and ids.dtype == np.uint32 and ids.ndim == 1,
            f"encode_ordinary({shown}) does not return an array (N,) of uint32",
        )
        found = [text for text, number in special.items() if number in ids]
        expect(not found, f"encode_ordinary({shown}) returns the special token {found[:1]}")
        if is_lossless:
            back = tokenizer.decode(ids.tolist())
            expect(back == sample, f"{shown} is decoded to {back!r:.60} after encode_ordinary")
        if not any(text in sample for text in special):
            is_same = ids.tolist() == tokenizer.encode(sample)
            expect(is_same, f"encode_ordinary({shown}) returns other ids than encode")


def _check_every_id(tokenizer: Tokenizer) -> None:
    with during("an id by itself"):
        for number in range(tokenizer.n_vocab):
            expect(
                isinstance(tokenizer.decode([number]), str)
                and isinstance(tokenizer.decode_bytes([number]), bytes),
                f"the id {number} is decoded to something other than text and bytes",
            )
    for number in (tokenizer.n_vocab, tokenizer.n_vocab + 1000):
        try:
            text = tokenizer.decode([number])
        except Exception as error:
            message = f"decode([{number}]), an id without text, raises {type(error).__name__}"
            raise ContractError(message) from error
        expect("\ufffd" in text, f"decode([{number}]), an id without text, does not return U+FFFD")


def _check_state(factory: TokenizerFactory, tokenizer: Tokenizer, samples: Sequence[str]) -> None:
    state = through_json(tokenizer.state(), "the state")
    kind = state.get("token_kind")
    expect(kind == factory.token_kind, f"the token_kind of its state is {kind!r}")
    document = {"format_version": FORMAT_VERSION, **state}
    problems = document_problems("tokenizer", document, files.TOKENIZER)
    wrong = [str(problem) for problem in problems]
    expect(not wrong, f"its state is not a valid tokenizer.json: {'; '.join(wrong)}")
    sections = state.get("plugins", {})
    _check_section(factory, sections)
    check_current(factory, next(iter(sections.values()), {}))
    with during("a tokenizer that is built from its state"):
        built = factory.build(document)
    expect(
        (built.n_vocab, built.vocab_size) == (tokenizer.n_vocab, tokenizer.vocab_size),
        "built from its state, it has another number of ids",
    )
    for sample in samples:
        expect(
            built.encode(sample) == tokenizer.encode(sample),
            f"built from its state, it returns other ids for {sample!r:.60}",
        )
    expect(built.state() == tokenizer.state(), "built from its state, it has another state")


def _check_section(factory: TokenizerFactory, sections: Mapping[str, Any]) -> None:
    from jsonschema import Draft202012Validator

    for name, section in sections.items():
        for error in Draft202012Validator(factory.options).iter_errors(section):
            expect(False, f"`options` rejects its own section {name}: {error.message}")


def _check_export(tokenizer: Any, samples: Sequence[str]) -> None:
    """Check the exported tokenizer, where Hugging Face's `tokenizers` is installed."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return
    documents = through_json(tokenizer.to_hugging_face(), "what to_hugging_face returns")
    try:
        theirs = Tokenizer.from_str(json.dumps(documents["tokenizer"]))
    except Exception as error:  # the library raises nothing more specific
        message = f"what to_hugging_face returns cannot be opened by tokenizers: {error}"
        raise ContractError(message) from error
    for sample in samples:
        ids = tokenizer.encode(sample)
        with during("encoding with what to_hugging_face returns"):
            found = theirs.encode(sample, add_special_tokens=False).ids
        expect(found == ids, f"exported, it returns other ids for {sample!r:.60}")
        text = theirs.decode(ids, skip_special_tokens=False)
        expect(text == tokenizer.decode(ids), f"exported, it decodes {sample!r:.60} otherwise")


def _check_cuts(tokenizer: Any, text: str) -> None:
    text = text[:400]
    whole = tokenizer.encode(text)
    for start in range(len(text)):
        for length in (start + (len(text) - start) // 2, len(text)):
            place = tokenizer.cut(text[:length], start)
            if place is None:
                continue
            expect(
                start <= place <= length,
                f"cut returns {place}, which is not within {start} ... {length}",
            )
            parts = tokenizer.encode(text[:place]) + tokenizer.encode(text[place:])
            expect(parts == whole, f"cut at {place}, as `cut` returns, the text has other ids")
