"""The tokenizer of a litgpt folder, with litgpt's own rule for the token before a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.hugging_face.companions import read_companions
from mypt.format.readers.hugging_face.text_rules import (
    TOKENIZER_CONFIG,
    read_chat_templates,
    read_text_rules,
)
from mypt.format.readers.shared.vocabulary import (
    convert_hugging_face_document,
    read_hugging_face_document,
)
from mypt.format.readers.tokenizers.sentencepiece import make_sentencepiece
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKENIZER, SENTENCEPIECE = "tokenizer.json", "tokenizer.model"
# Folders whose tokenizers add a token before a text, whatever their files say.
_ADDS_BOS = ("Meta-Llama-3", "Llama-3")


def read_tokenizer(folder: Path, vocab_size: int, report: list[str]) -> dict[str, Any] | None:
    """Return the fields of mypt's `tokenizer.json`; None if the folder has no tokenizer.

    Of two files that of Hugging Face counts, as in litgpt.

    Args:
        folder: It may hold a `tokenizer.json` or a `tokenizer.model`.
        vocab_size: Rows of the model.
        report: Takes a line for what is left out.

    Raises:
        FormatError: A file is damaged, or has ids that the model has no rows for.
        OSError: A file cannot be read.
    """
    companions = read_companions(folder, {})
    named = companions.get(TOKENIZER_CONFIG, {})
    if is_regular_file(folder / TOKENIZER):
        document = read_hugging_face_document(folder / TOKENIZER, vocab_size, report)
    elif is_regular_file(folder / SENTENCEPIECE):
        name = str(folder / SENTENCEPIECE)
        held = read_sentencepiece(folder / SENTENCEPIECE, name)
        made = make_sentencepiece(held, name, finds_marks=False)
        document = convert_hugging_face_document(made, name, vocab_size, report)
        ends = {
            f"{end}_token": held.pieces[number]
            for end, number in (("bos", held.bos), ("eos", held.eos))
            if number >= 0
        }
        companions = {**companions, TOKENIZER_CONFIG: {**named, **ends}}
    else:
        report.append(f"no {TOKENIZER} is taken over: the model takes bare ids")
        return None
    rules = read_text_rules(document, companions, vocab_size, read_chat_templates(folder, named))
    adds_bos = _adds_bos(folder, named) and "bos" in rules["special_tokens"]
    return {**document, **rules, "add_bos": adds_bos, "hugging_face": companions}


def _adds_bos(folder: Path, tokenizer_config: Mapping[str, Any]) -> bool:
    """Return whether litgpt puts a token before each text, and takes off any other one.

    Source: `check_if_bos_token_used` in litgpt's `tokenizer.py`.
    """
    if not tokenizer_config:
        return False
    name = folder.resolve()
    is_instructed = name.stem.startswith("SmolLM2") and name.name.endswith("Instruct")
    if name.stem.startswith(_ADDS_BOS) or is_instructed:
        return True
    if "add_bos_token" in tokenizer_config:
        return tokenizer_config["add_bos_token"] is True
    return tokenizer_config.get("tokenizer_class") == "LlamaTokenizer"
