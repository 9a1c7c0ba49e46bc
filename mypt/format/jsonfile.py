"""Strict JSON in, canonical JSON out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

# Larger than any vocabulary of a million tokens, small enough to read at once.
MAX_JSON_BYTES = 256 * 1024 * 1024


def parse(data: bytes, file: str) -> dict[str, Any]:
    """Read one JSON object, refusing what JSON does not define or two readers could differ on.

    Args:
        data: The file's bytes, UTF-8 without a byte order mark.
        file: The file's name, for messages.

    Raises:
        FormatError: Not UTF-8, not JSON, NaN or Infinity, a duplicate key, too deep, or not an
            object.
    """
    if len(data) > MAX_JSON_BYTES:
        _refuse(file, f"is {len(data)} bytes large", "no document of a checkpoint is that large")
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        _refuse(file, f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        _refuse(file, f"is not JSON: {error.msg} at {place}", "correct it or restore the file")
    except RecursionError:
        _refuse(file, "is nested too deeply", "restore the file")
    except _NotStrictError as error:
        _refuse(file, str(error), "correct it: every reader must see the same values")
    if not isinstance(document, dict):
        _refuse(file, "is not a JSON object", "restore the file")
    return document


def dump(document: Mapping[str, Any]) -> bytes:
    """Give the canonical bytes: UTF-8, indent 2, order of insertion, a newline at the end.

    Raises:
        ValueError: A value is NaN or infinite, which JSON cannot say (a caller's bug).
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", errors="strict")


class _NotStrictError(ValueError):
    """Two readers could disagree about this document."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _NotStrictError(f"has the key {twice!r} twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _NotStrictError(f"contains {name}, which JSON does not define")


def _refuse(file: str, what: str, fix: str) -> NoReturn:
    raise FormatError(Problem(file, "", what, fix, kind="json"))
