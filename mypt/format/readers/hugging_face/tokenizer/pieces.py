"""Make a `tokenizer.json` of the `tokenizer.model` of sentencepiece that a folder has.

Two classes of `transformers` take the pieces from the file, and do to a text what they have in
their code, whatever the file says of spaces. All others do what the file says, from 5.24 on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.parts import make_added_token, make_sequence, replace
from mypt.format.readers.tokenizers.sentencepiece import (
    SPACE,
    PieceType,
    make_sentencepiece,
    order_merges,
)
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece
from mypt.format.readers.tokenizers.words import make_split

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
    path: Path, name: str, config: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Return the `tokenizer.json` of a `tokenizer.model`, and the class's own tokens by role.

    Args:
        path: The folder.
        name: The class of the tokenizer.
        config: The content of `tokenizer_config.json`.

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
    if name not in CLASSES:
        document |= _make_backend(document, held, config)
        return document, _list_own(held)
    # It takes the ids for the ranks, and marks for parts as well.
    document["model"]["merges"] = order_merges(document["model"]["vocab"], float)
    if name == "LlamaTokenizer":
        document |= _make_llama(document["model"], config)
    else:
        document |= _make_gemma(document, held)
    document["added_tokens"] = list(_list_marks(held, PieceType.CONTROL, PieceType.USER_DEFINED))
    return document, CLASSES[name]


def _list_own(held: SentencePieces) -> dict[str, str]:
    """Return the tokens of a file by their roles."""
    ids = {"bos_token": held.bos, "eos_token": held.eos, "unk_token": held.unk}
    return {r: held.pieces[n] for r, n in ids.items() if 0 <= n < len(held.pieces)}


def _list_marks(held: SentencePieces, *types: PieceType) -> Iterator[dict[str, Any]]:
    for number, text in held.select(*types):
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
    return {
        "model": {**model, "unk_token": None, "byte_fallback": True},
        "normalizer": None,
        "pre_tokenizer": _make_metaspace(scheme),
        "decoder": make_sequence("decoders", [*steps, *strip]),
    }


def _make_gemma(document: Mapping[str, Any], held: SentencePieces) -> dict[str, Any]:
    """Return the parts of a tokenizer of Gemma's."""
    fallback = [{"type": "ByteFallback"}] if held.byte_fallback else []
    return {
        "normalizer": make_sequence(
            "normalizers", [*_list_charsmaps(document), replace(" ", SPACE)]
        ),
        "decoder": make_sequence("decoders", [replace(SPACE, " "), *fallback, {"type": "Fuse"}]),
    }


def _make_backend(
    document: Mapping[str, Any], held: SentencePieces, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parts of a tokenizer of no class of its own, which does as the file says.

    With `legacy`, its default, the space comes before each text between special tokens.
    """
    legacy = bool(config.get("legacy", True))
    steps = _list_charsmaps(document)
    if held.remove_extra_whitespaces:
        steps += [replace(r"\A +| +\z", "", regex=True), replace(" {2,}", " ", regex=True)]
    if held.escape_whitespaces:
        steps.append(replace(" ", SPACE))
    splits: list[Mapping[str, Any]] = []
    if held.add_dummy_prefix:
        steps += [replace(rf"\A{SPACE}", SPACE * 2, regex=True)] if legacy else []
        splits.append(_make_metaspace("always" if legacy else "first"))
    own = sorted((text for _, text in held.select(PieceType.USER_DEFINED)), key=len, reverse=True)
    if own:
        splits.append(make_split("|".join(map(re.escape, own))))
    model = document["model"]
    return {
        "model": {**model, "ignore_merges": bool(own)} if held.kind == "bpe" else model,
        "normalizer": make_sequence("normalizers", steps),
        "pre_tokenizer": make_sequence("pretokenizers", splits),
        "added_tokens": list(_list_marks(held, PieceType.CONTROL)),
    }


def _make_metaspace(scheme: str) -> Mapping[str, Any]:
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": False}


def _list_charsmaps(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [s for s in _list_steps(document["normalizer"]) if s["type"] == "Precompiled"]


def _list_steps(step: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if step is None:
        return []
    return step["normalizers"] if step["type"] == "Sequence" else [step]
