"""Make a `tokenizer.json` of the `tokenizer.model` of sentencepiece that a folder has.

The classes of `transformers` take the pieces from the file, and do to a text what they have in
their code: what the file says of spaces holds for none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.tokenizer.classes import BACKEND
from mypt.format.readers.tokenizers.parts import make_added_token, make_sequence, replace
from mypt.format.readers.tokenizers.sentencepiece import (
    SPACE,
    PieceType,
    make_sentencepiece,
    order_merges,
)
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypt.format.readers.tokenizers.sentencepiece import SentencePieces

MODEL = "tokenizer.model"
_LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_GEMMA = {"bos": "<bos>", "eos": "<eos>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
# By class, the tokens that it has by default.
CLASSES: Mapping[str, Mapping[str, str]] = {
    "LlamaTokenizer": _LLAMA,
    "GemmaTokenizer": {f"{role}_token": text for role, text in _GEMMA.items()},
}


def read_pieces(
    path: Path, name: str, config: Mapping[str, Any], report: list[str]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Return the `tokenizer.json` of a `tokenizer.model`, and the class's own tokens by role.

    Args:
        path: The folder.
        name: The class of the tokenizer.
        config: The content of `tokenizer_config.json`.
        report: Takes a line if the program leaves out the space that the file asks for.

    Raises:
        FormatError: The file is damaged, or is of another kind than the class.
        OSError: It cannot be read.
    """
    file = str(path / MODEL)
    held = read_sentencepiece(path / MODEL, file)
    if name in CLASSES and held.kind != "bpe":
        what = f"is of sentencepiece's type `{held.kind}`, and {name} needs one of `bpe`"
        fix = "open the model with `--option tokenizer=none`, as one of bare ids"
        raise FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))
    document = make_sentencepiece(held, file)
    if held.kind == "bpe":  # it takes the ids for the ranks, and marks for parts as well
        document["model"]["merges"] = order_merges(document["model"]["vocab"], float)
    if name == "LlamaTokenizer":
        document |= _make_llama(document["model"], config)
    else:
        document |= _make_plain(document, held)
        if name not in CLASSES and held.add_dummy_prefix:
            report.append(
                f"{MODEL} is read as transformers' {BACKEND} reads it: without the space that "
                "sentencepiece puts before a text"
            )
    document["added_tokens"] = list(_list_marks(held))
    return document, CLASSES.get(name) or _list_own(held)


def _list_own(held: SentencePieces) -> dict[str, str]:
    """Return the tokens of a file by their roles."""
    ids = {"bos_token": held.bos, "eos_token": held.eos, "unk_token": held.unk}
    return {r: held.pieces[n] for r, n in ids.items() if 0 <= n < len(held.pieces)}


def _list_marks(held: SentencePieces) -> Iterator[dict[str, Any]]:
    for number, text in held.select(PieceType.CONTROL, PieceType.USER_DEFINED):
        special = held.types[number] == PieceType.CONTROL
        yield make_added_token(number, text, special=special)


def _make_llama(model: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a tokenizer of Llama's.

    A space comes before a text that begins without one; with `legacy`, also before a text that
    follows a special token.
    """
    prefix = config.get("add_prefix_space") in (None, True)
    steps: list[Mapping[str, Any]] = [
        replace(SPACE, " "),
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    scheme = ("always" if config.get("legacy", False) else "first") if prefix else "never"
    split = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": False}
    return {
        "model": {**model, "unk_token": None, "byte_fallback": True},
        "normalizer": None,
        "pre_tokenizer": split,
        "decoder": make_sequence("decoders", [*steps, *strip]),
    }


def _make_plain(document: Mapping[str, Any], held: SentencePieces) -> dict[str, Any]:
    """Return the parts of a tokenizer of Gemma's, or of no class of its own."""
    steps = [s for s in _list_steps(document["normalizer"]) if s["type"] == "Precompiled"]
    fallback = [{"type": "ByteFallback"}] if held.byte_fallback else []
    return {
        "normalizer": make_sequence("normalizers", [*steps, replace(" ", SPACE)]),
        "decoder": make_sequence("decoders", [replace(SPACE, " "), *fallback, {"type": "Fuse"}]),
    }


def _list_steps(step: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if step is None:
        return []
    return step["normalizers"] if step["type"] == "Sequence" else [step]
