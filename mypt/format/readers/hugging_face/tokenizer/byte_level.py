"""Make a `tokenizer.json` of the two files of a byte-level byte-pair encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.byte_bpe import make_byte_bpe
from mypt.format.schema.messages import json_pointer
from mypt.format.schema.strict_json import MAX_JSON_BYTES
from mypt.format.storage.files import open_regular, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypt.format.readers.hugging_face.tokenizer.classes import ByteLevelClass

VOCAB, MERGES = "vocab.json", "merges.txt"
_FIX = "restore the file, or open the model with `--option tokenizer=none`"


def read_byte_level(path: Path, held: ByteLevelClass, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `tokenizer.json` of `vocab.json` and `merges.txt`, without added tokens.

    Args:
        path: The folder.
        held: The class of the tokenizer.
        config: The content of `tokenizer_config.json`.

    Raises:
        FormatError: A file is damaged, or a merge makes no token.
        OSError: It cannot be read.
    """
    vocab = _read_vocab(path / VOCAB)
    return make_byte_bpe(
        vocab,
        list(_read_merges(path / MERGES, vocab)),
        words=held.words,
        add_prefix_space=bool(config.get("add_prefix_space")),
        normalizer=held.normalizer,
    )


def _read_vocab(path: Path) -> dict[str, int]:
    vocab, _ = read_document(path, str(path))
    wrong = [text for text, number in vocab.items() if type(number) is not int or number < 0]
    if wrong or not vocab or len(set(vocab.values())) < len(vocab):
        what = "is no table of tokens and their ids, each another"
        pointer = json_pointer([wrong[0]]) if wrong else ""
        raise FormatError(Problem(str(path), pointer, what, _FIX, kind="foreign.vocabulary"))
    return vocab


def _read_merges(path: Path, vocab: Mapping[str, int]) -> Iterator[list[str]]:
    with open_regular(path, str(path)) as stream:
        data = stream.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise _make_merge_error(path, f"is larger than {MAX_JSON_BYTES} bytes")
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise _make_merge_error(path, f"is not UTF-8 (byte {error.start})") from error
    for number, line in enumerate(lines, 1):
        if line.startswith("#version") or not line.strip("\r"):
            continue
        merge = line.removesuffix("\r").split(" ")
        if len(merge) != 2 or not {*merge, "".join(merge)} <= vocab.keys():
            what = f"line {number} has no two tokens of {VOCAB} that make a third"
            raise _make_merge_error(path, what)
        yield merge


def _make_merge_error(path: Path, what: str) -> FormatError:
    return FormatError(Problem(str(path), "", what, _FIX, kind="foreign.vocabulary"))
