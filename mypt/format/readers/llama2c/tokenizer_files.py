"""The tokenizer of a llama2.c model: sentencepiece's `.model` or the `.bin` made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.text_rules import (
    GENERATION_CONFIG,
    TOKENIZER_CONFIG,
    read_text_rules,
)
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER, convert_hugging_face_document
from mypt.format.readers.tokenizers.llama2c_vocabulary import read_llama2c_vocabulary
from mypt.format.readers.tokenizers.sentencepiece import make_sentencepiece
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.readers.tokenizers.sentencepiece import SentencePieces

OPTION = "tokenizer"
# The file of sentencepiece says more: how a text is normalized, and which pieces are bytes.
_MODEL, _BIN = ".model", ".bin"


def read_tokenizer(
    file: Path, vocab_size: int, options: Mapping[str, Any], report: list[str]
) -> dict[str, Any] | None:
    """Return the fields of mypt's `tokenizer.json`; None if none is wanted.

    Each text begins with the token that begins texts, and the model ends one with it, as in
    `run.c`.

    Args:
        file: The file of the model, beside which the vocabulary lies.
        vocab_size: Rows of the model.
        options: `tokenizer` is a path or `none`.
        report: Takes a line for what is taken over.

    Raises:
        FormatError: There is no vocabulary of that size, or it is damaged.
        OSError: It cannot be read.
    """
    chosen = options.get(OPTION)
    if chosen == NO_TOKENIZER:
        report.append("opened without a tokenizer, as asked")
        return None
    path, held = _find_vocabulary(file, vocab_size, None if chosen is None else Path(chosen))
    report.append(f"the tokenizer is {path.name}")
    name = str(path)
    made = make_sentencepiece(held, name, finds_marks=False, add_bos=True)
    document = convert_hugging_face_document(made, name, vocab_size, report)
    begin = held.pieces[held.bos] if held.bos >= 0 else None
    companions = {
        TOKENIZER_CONFIG: {"bos_token": begin, "eos_token": begin},
        GENERATION_CONFIG: {"bos_token_id": held.bos, "eos_token_id": held.bos},
    }
    return {**document, **read_text_rules(document, companions, vocab_size, {})}


def _find_vocabulary(
    file: Path, vocab_size: int, chosen: Path | None
) -> tuple[Path, SentencePieces]:
    """Return the vocabulary, and its file: the chosen one, or the one of the right size."""
    if chosen is not None:
        held = _read(chosen)
        if len(held.pieces) != vocab_size:
            what = f"has {len(held.pieces)} pieces, but the model has {vocab_size} rows"
            fix = "use the one that this model was trained with"
            raise FormatError(Problem(str(chosen), "", what, fix, kind="foreign.vocabulary"))
        return chosen, held
    for path in _list_candidates(file, vocab_size):
        if path != file and is_regular_file(path):
            held = _read(path)
            if len(held.pieces) == vocab_size:
                return path, held
    what = f"has no vocabulary of {vocab_size} pieces beside it (tokenizer or tok{vocab_size})"
    raise missing_option(str(file), what, f"{OPTION}=tokenizer.model", f"{OPTION}={NO_TOKENIZER}")


def _list_candidates(file: Path, vocab_size: int) -> Iterator[Path]:
    for suffix in (_MODEL, _BIN):
        for name in (f"tok{vocab_size}", OPTION):
            yield file.with_name(name + suffix)


def _read(path: Path) -> SentencePieces:
    reads = read_llama2c_vocabulary if path.suffix == _BIN else read_sentencepiece
    try:
        return reads(path, str(path))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise missing_option(str(path), what, f"{OPTION}=tokenizer.model") from error
