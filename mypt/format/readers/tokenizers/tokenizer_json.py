"""Read a `tokenizer.json` of Hugging Face's `tokenizers`, all of whose parts it must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.schema.messages import json_pointer
from mypt.format.storage.files import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# By key of a `tokenizer.json`, the types that `tokenizers` 0.20 to 0.23 run, and the key of the
# steps within one of the type `Sequence`.
_STEPS = {
    "normalizer": (
        "normalizers",
        {
            *("BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt"),
            *("Precompiled", "Prepend", "Replace", "Strip", "StripAccents"),
        },
    ),
    "pre_tokenizer": (
        "pretokenizers",
        {
            *("BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength"),
            *("Metaspace", "Punctuation", "Split", "UnicodeScripts", "Whitespace"),
            "WhitespaceSplit",
        },
    ),
    "post_processor": (
        "processors",
        {"BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"},
    ),
    "decoder": (
        "decoders",
        {
            *("BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace"),
            *("Strip", "WordPiece"),
        },
    ),
}
_MODELS = {"BPE", "Unigram", "WordLevel", "WordPiece"}


def read_tokenizer_json(path: Path) -> dict[str, Any]:
    """Return the content of a `tokenizer.json`.

    Raises:
        FormatError: It is not a strict JSON object, or has a part that `tokenizers` does not run.
        OSError: It cannot be read.
    """
    file = str(path)
    document, _ = read_document(path, file)
    model = document.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") not in _MODELS:
        raise _make_part_error(file, ("model",), model)
    for key, (inner, types) in _STEPS.items():
        for place, step in _iterate_steps(document.get(key), inner, (key,)):
            if not isinstance(step, dict) or step.get("type") not in types:
                raise _make_part_error(file, place, step)
    return document


def _iterate_steps(
    step: Any, inner: str, place: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the steps of a part and their places, however they are nested."""
    steps = step.get(inner) if isinstance(step, dict) and step.get("type") == "Sequence" else None
    if isinstance(steps, list):
        for number, one in enumerate(steps):
            yield from _iterate_steps(one, inner, (*place, inner, number))
    elif step is not None:
        yield place, step


def _make_part_error(file: str, place: tuple[str | int, ...], step: Any) -> FormatError:
    kind = step.get("type") if isinstance(step, dict) else step
    what = f"is of the type {kind!r:.60}, which mypt does not run"
    fix = "open the model with `--option tokenizer=none`, as one of bare ids"
    return FormatError(Problem(file, json_pointer(place), what, fix, kind="foreign.vocabulary"))
