"""Parse strict JSON, and write canonical JSON."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Larger than any vocabulary of a million tokens, and small enough to read at once.
MAX_JSON_BYTES = 48 * 1024 * 1024
MAX_VALUES = 4_000_000
MAX_DEPTH = 64
# One character beyond U+FFFF makes every other character take four bytes of memory too.
_MAX_TEXT_BYTES = 128 * 1024 * 1024
_MAX_DIGITS = 300  # a float cannot hold a longer number


def with_line_feeds(data: bytes) -> bytes:
    """Return a document with the line ends that `dump` writes.

    A copy by git with `core.autocrlf`, or by an editor, has others; within a JSON text there are
    none, so the document is the same.
    """
    return data.replace(b"\r\n", b"\n")


def parse(data: bytes, file: str) -> dict[str, Any]:
    """Parse one JSON object; reject what JSON does not define or readers could disagree on.

    Args:
        data: The file's bytes, UTF-8 without a byte order mark.
        file: The file's name, for messages.

    Raises:
        FormatError: Not UTF-8, not JSON, not an object, NaN or Infinity, a number that no float
            can hold, a lone surrogate, a duplicate key, too much text, too many values, or nested
            too deeply.
    """
    if len(data) > MAX_JSON_BYTES:
        _raise_json_error(
            file, f"is {len(data)} bytes, larger than any document", "restore the file"
        )
    # a key takes as much memory as about three values
    if sum(map(data.count, (b",", b"[", b"{", b":", b":", b":"))) > MAX_VALUES:
        _raise_json_error(file, f"holds more than {MAX_VALUES} values", "restore the file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _raise_json_error(file, f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
    if text.startswith("\ufeff"):
        what = "begins with a byte order mark, as some editors write it"
        _raise_json_error(file, what, "save it as UTF-8 without one")
    if sys.getsizeof(text) > _MAX_TEXT_BYTES:
        _raise_json_error(file, "contains too much text", "restore the file")
    document = _load_json(text, file)
    if not isinstance(document, dict):
        _raise_json_error(file, "is not a JSON object", "restore the file")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and is_deeper(document, MAX_DEPTH):
        _raise_json_error(file, f"is nested deeper than {MAX_DEPTH} levels", "restore the file")
    if ("\\ud" in text or "\\uD" in text) and not all(
        map(_has_no_lone_surrogate, _iterate_texts(document))
    ):
        _raise_json_error(
            file, "escapes half a character (a surrogate without its pair)", "correct it"
        )
    return document


def _load_json(text: str, file: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_reject_duplicate_keys,
            parse_constant=_reject_constant,
            parse_float=_parse_float,
            parse_int=_parse_int,
        )
    except json.JSONDecodeError as error:
        said = error.msg.removesuffix(" at")  # as some of Python's messages end
        place = f"line {error.lineno}, column {error.colno}"
        _raise_json_error(file, f"is not JSON: {said} at {place}", "correct it or restore the file")
    except RecursionError:
        _raise_json_error(file, "is nested too deeply", "restore the file")
    except _NotStrictError as error:
        _raise_json_error(file, str(error), "correct it: every reader must see the same values")


def dump(document: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes: UTF-8, indent 2, insertion order, a newline at the end.

    Raises:
        ValueError: A value is NaN or infinite, which JSON cannot represent (a caller's bug).
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", errors="strict")


class _NotStrictError(ValueError):
    """Two readers could disagree about this document."""


def _iterate_levels(document: Any) -> Iterator[list[Any]]:
    """Yield the values of each level of nesting, the document itself first."""
    level = [document]
    while level:
        yield level
        inner = (value for value in level if isinstance(value, (dict, list)))
        level = [
            item
            for value in inner
            for item in (value.values() if isinstance(value, dict) else value)
        ]


def is_deeper(document: Any, levels: int) -> bool:
    """Return whether a document is nested deeper than so many levels."""
    level, depth = [document] if isinstance(document, (dict, list)) else [], 0
    while level and depth <= levels:
        depth += 1
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, (dict, list))
        ]
    return depth > levels


def _iterate_texts(document: Any) -> Iterator[str]:
    """Yield every string of a document, names of fields included."""
    for level in _iterate_levels(document):
        for value in level:
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from value


def _has_no_lone_surrogate(text: str) -> bool:
    """Return whether a string contains no half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        left = dict.fromkeys(members, 1)
        twice = next(key for key, _ in pairs if not left.pop(key, 0))
        what = f"has the key {twice!r} twice in one object"
        raise _NotStrictError(what)
    return members


def _reject_constant(name: str) -> NoReturn:
    what = f"contains {name}, which JSON does not define"
    raise _NotStrictError(what)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        what = f"contains {digits[:20]}, which is too large for a number"
        raise _NotStrictError(what)
    return number


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        what = f"contains a number of {len(digits)} digits"
        raise _NotStrictError(what)
    return int(digits)


def _raise_json_error(file: str, what: str, fix: str) -> NoReturn:
    raise FormatError(Problem(file, "", what, fix, kind="json"))
