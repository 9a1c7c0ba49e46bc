"""Read nanochat's `tokenizer.pkl`, a pickle of an encoding of tiktoken, without unpickling it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import FormatError, Problem, missing_option, read_plain_pickle
from mypt_nanochat.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NO_TOKENIZER = "none"
_ENCODING = "tiktoken.core.Encoding"


def read_tokenizer(path: Path, vocab_size: int) -> dict[str, Any]:
    """Return the fields of `tokenizer.json`.

    Args:
        path: The pickle.
        vocab_size: Number of ids of the model.

    Raises:
        FormatError: It cannot be read, holds anything else, or is that of another model.
    """
    file = str(path)
    try:
        held = read_plain_pickle(path, file, states_of=(_ENCODING,))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        ways = ("tokenizer=tokenizer.pkl", f"tokenizer={NO_TOKENIZER}")
        raise missing_option(file, what, *ways) from error
    vocabulary = _make_vocabulary(held, file).check(file)
    if vocabulary.size != vocab_size:
        what = f"has {vocabulary.size} ids, but the model has {vocab_size}"
        fix = "name the tokenizer that the model was trained with: --option tokenizer=..."
        raise FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))
    return vocabulary.to_document()


def _make_vocabulary(held: Mapping[Any, Any], file: str) -> Vocabulary:
    match held:
        case {
            "pat_str": str() as pattern,
            "mergeable_ranks": dict() as ranks,
            "special_tokens": dict() as special,
        } if _are_ids(special, str) and _are_ids(ranks, bytes):
            tokens = sorted(ranks, key=ranks.__getitem__)
            if [ranks[token] for token in tokens] == list(range(len(tokens))):
                return Vocabulary(pattern, tuple(tokens), special)
    what = "does not hold an encoding of tiktoken with ranks 0, 1, ..."
    raise FormatError(Problem(file, "", what, "restore the file", kind="nanochat.tokenizer"))


def _are_ids(table: Mapping[Any, Any], kind: type) -> bool:
    return all(type(key) is kind and type(value) is int for key, value in table.items())
