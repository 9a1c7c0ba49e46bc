"""Find the tokenizer of a Hugging Face folder, in whatever files it is, and read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.companions import read_companions
from mypt.format.readers.hugging_face.text_rules import (
    TOKENIZER_CONFIG,
    read_chat_templates,
    read_text_rules,
)
from mypt.format.readers.hugging_face.tokenizer.added_tokens import add_declared_tokens
from mypt.format.readers.hugging_face.tokenizer.byte_level import MERGES, VOCAB, read_byte_level
from mypt.format.readers.hugging_face.tokenizer.classes import BYTE_LEVEL, find_class
from mypt.format.readers.hugging_face.tokenizer.declared import read_declared_tokens
from mypt.format.readers.hugging_face.tokenizer.pieces import MODEL, read_pieces
from mypt.format.readers.shared.vocabulary import convert_hugging_face_document
from mypt.format.readers.tokenizers.clean_up import add_clean_up
from mypt.format.readers.tokenizers.parts import make_template
from mypt.format.readers.tokenizers.tokenizer_json import read_tokenizer_json
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.hugging_face.tokenizer.declared import DeclaredTokens

FAST = "tokenizer.json"
# Files of tokenizers that are not read.
_OTHERS = (
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "tiktoken.model",
    "qwen.tiktoken",
)
_FIX = "open the model with `--option tokenizer=none`, as one of bare ids"


def has_tokenizer(path: Path) -> bool:
    """Return whether a folder has a file of a tokenizer, of any kind."""
    return any(is_regular_file(path / name) for name in (FAST, MODEL, VOCAB, MERGES, *_OTHERS))


def read_tokenizer(
    path: Path, hf_config: Mapping[str, Any], vocab_size: int, report: list[str]
) -> dict[str, Any]:
    """Return the fields of mypt's `tokenizer.json`.

    Args:
        path: The folder.
        hf_config: The content of its `config.json`.
        vocab_size: Rows of the model.
        report: Takes a line for what is left out or is otherwise than the files suggest.

    Raises:
        FormatError: A file is damaged, or makes ids as mypt cannot.
        OSError: It cannot be read.
    """
    companions = read_companions(path, hf_config)
    config = companions.get(TOKENIZER_CONFIG, {})
    name = find_class(config, hf_config, str(path / f"{TOKENIZER_CONFIG}.json"))
    declared = read_declared_tokens(path, config)
    if is_regular_file(path / FAST):
        document = add_declared_tokens(read_tokenizer_json(path / FAST), declared, str(path))
    else:
        document, defaults = _read_slow_files(path, name, config)
        declared = declared.with_defaults(defaults)
        document = add_declared_tokens(document, declared, str(path))
        document["post_processor"] = _make_ends(document, config, declared)
    if config.get("clean_up_tokenization_spaces"):
        document = add_clean_up(document)
    held = convert_hugging_face_document(document, str(path), vocab_size, report)
    roles = {role: token["content"] for role, token in declared.by_role.items()}
    named = {**companions, TOKENIZER_CONFIG: {**config, **roles}}
    templates = read_chat_templates(path, config)
    rules = read_text_rules(held, named, vocab_size, templates)
    return {**held, **rules, "hugging_face": companions}


def _read_slow_files(
    path: Path, name: str, config: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Return the tokenizer of a folder without `tokenizer.json`, and its class's own tokens."""
    if name in BYTE_LEVEL and all(is_regular_file(path / file) for file in (VOCAB, MERGES)):
        return read_byte_level(path, BYTE_LEVEL[name], config), BYTE_LEVEL[name].tokens
    if name not in BYTE_LEVEL and is_regular_file(path / MODEL):
        return read_pieces(path, name, config)
    files = [file for file in (VOCAB, MERGES, MODEL, *_OTHERS) if is_regular_file(path / file)]
    what = f"has the tokenizer {name} in {' and '.join(files)}, which mypt does not read"
    raise FormatError(Problem(str(path), "", what, _FIX, kind="foreign.vocabulary"))


def _make_ends(
    document: Mapping[str, Any], config: Mapping[str, Any], declared: DeclaredTokens
) -> Mapping[str, Any] | None:
    """Return what puts tokens around a text; None if the program puts none there."""
    ids = {token["content"]: token["id"] for token in document["added_tokens"]}

    def find(role: str) -> list[tuple[str, int]]:
        text = declared.text(f"{role}_token") if config.get(f"add_{role}_token") else None
        return [] if text is None else [(text, ids[text])]

    begin, end = find("bos"), find("eos")
    return make_template(begin, end) if begin or end else None
