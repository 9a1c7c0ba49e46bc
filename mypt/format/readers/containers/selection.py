"""The option `prefix`, and the tokenizer, of files that hold the tensors of some model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem, limit_problems
from mypt.format.readers.containers.likeness import LIKE_OPTION
from mypt.format.readers.nanogpt_model import ACTIVATION_OPTION
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.vocabulary import (
    CHARS_OPTION,
    NO_TOKENIZER,
    TOKENIZER_OPTION,
    make_char_document,
    read_hugging_face_document,
)
from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.values import is_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPTIONS: Mapping[str, Any] = {
    "like": LIKE_OPTION,
    "prefix": {
        "type": "string",
        "minLength": 1,
        "description": "What the names of the model's tensors begin with, such as `model.`; "
        "tensors of other names are left out.",
    },
    "chars": CHARS_OPTION,
    "tokenizer_json": {
        "type": "string",
        "description": "Path of the model's tokenizer.json of Hugging Face.",
    },
    "activation": ACTIVATION_OPTION,
    "tokenizer": TOKENIZER_OPTION,
}
_MOST_NAMED = 5


def select_tensors(
    contents: Mapping[str, Any], names: Iterable[str], prefix: str | None, file: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the tensors of the model, and a note on what is left out.

    Args:
        contents: Values by name; those that are not wanted are not looked at.
        names: The names to choose from.
        prefix: What the names of the model's tensors begin with; None for all.
        file: Name of what holds them, for messages.

    Returns:
        The tensors, or their descriptions, by names without the prefix.

    Raises:
        FormatError: No name begins with the prefix, or something among them is no tensor.
    """
    names = [*names]
    begin = "" if prefix is None else f"{prefix.removesuffix('.')}."
    chosen = [name for name in names if name.startswith(begin)]
    if not chosen:
        first = ", ".join(names[:_MOST_NAMED])
        what = f"has no tensor whose name begins with {begin}; it has {first}, ..."
        raise FormatError(Problem(file, "prefix", what, "correct the option", kind="option.value"))
    found = {name: contents[name] for name in chosen}
    problems = limit_problems(_find_others(found, file))
    if problems:
        raise FormatError(*problems)
    left = len(names) - len(chosen)
    notes = (f"{left} entries whose names do not begin with `{begin}` are left out",)
    return {n.removeprefix(begin): t for n, t in found.items()}, notes if left else ()


def find_tokenizer(
    file: str, vocab_size: int, options: Mapping[str, Any], report: list[str]
) -> Mapping[str, Any] | None:
    """Return the document of the vocabulary, which is never in such a file.

    Args:
        file: Name of the file, for messages.
        vocab_size: Rows of the model.
        options: Those of the reader.
        report: Takes notes on what was adapted.

    Raises:
        FormatError: No option says what the ids stand for, or not for those of this model.
    """
    if options.get("tokenizer") == NO_TOKENIZER:
        return None
    if "chars" in options:
        return make_char_document(options["chars"], vocab_size, "--option chars", report)
    if "tokenizer_json" in options:
        return read_hugging_face_document(Path(options["tokenizer_json"]), vocab_size, report)
    what = f"does not say what its {vocab_size} ids stand for"
    raise missing_option(
        file, what, "chars=...", "tokenizer_json=tokenizer.json", f"tokenizer={NO_TOKENIZER}"
    )


def _find_others(found: Mapping[str, Any], file: str) -> Iterable[Problem]:
    for name, value in found.items():
        if not (isinstance(value, TensorInfo) or is_tensor(value)):
            what = f"is a {type(value).__name__}, not a tensor"
            if value is None:
                what = "is not a tensor"
            yield Problem(file, name, what, "restore the file", kind="tensors")
