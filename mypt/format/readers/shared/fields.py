"""Read fields of a foreign program's documents, checking their types."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX = 2**31
MAX_LAYERS = 100_000  # of mypt's config; what lists all layers comes before that is checked


def require_positive_int(
    document: Mapping[str, Any], name: str, file: str, default: int | None = None
) -> int:
    """Return a field that must be a positive integer.

    Args:
        document: What the program wrote.
        name: Name of the field.
        file: Name of the file, for messages.
        default: What the program uses if the field is absent or null.

    Raises:
        FormatError: It is missing, or is not a positive integer.
    """
    value = document.get(name)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 < value < _MAX:
        what = "is missing" if value is None else f"is {value!r}, not a positive whole number"
        raise FormatError(Problem(file, name, what, "restore the file", kind="foreign.field"))
    return value


def require_layers(document: Mapping[str, Any], name: str, file: str) -> int:
    """Return a field that must be a number of layers.

    Args:
        document: What the program wrote.
        name: Name of the field.
        file: Name of the file, for messages.

    Raises:
        FormatError: It is missing, is no positive integer, or is larger than mypt's config allows.
    """
    layers = require_positive_int(document, name, file)
    if layers > MAX_LAYERS:
        what = f"is {layers}, and a model has at most {MAX_LAYERS} layers"
        raise FormatError(Problem(file, name, what, "restore the file", kind="foreign.field"))
    return layers


def require_bool(document: Mapping[str, Any], name: str, file: str) -> bool:
    """Return a field that must be true or false.

    Raises:
        FormatError: It is anything else; Python would take `"false"` for true.
    """
    value = document.get(name)
    if type(value) is not bool:
        what, fix = f"is {value!r}, not true or false", "restore the file"
        raise FormatError(Problem(file, name, what, fix, kind="foreign.field"))
    return value


def require_number(document: Mapping[str, Any], name: str, file: str, at: str = "") -> float:
    """Return a field that must be a finite number.

    Args:
        document: What the program wrote.
        name: Name of the field.
        file: Name of the file, for messages.
        at: JSON pointer of the document in the file.

    Raises:
        FormatError: It is missing, or is anything else.
    """
    value: Any = document.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        what = "is missing" if value is None else f"is {value!r}, not a number"
        where = f"{at}/{name}" if at else name
        raise FormatError(Problem(file, where, what, "restore the file", kind="foreign.field"))
    number: float = value
    return number


def pick_known_fields(document: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that are present and not null, under mypt's names.

    Args:
        document: What the program wrote.
        fields: The program's names, mapped to mypt's.
    """
    return {
        ours: document[theirs]
        for theirs, ours in fields.items()
        if document.get(theirs) is not None
    }


def make_unsupported_error(file: str, where: str, what: str, fix: str) -> FormatError:
    """Return the error for a feature of a model that mypt's config cannot express."""
    return FormatError(Problem(file, where, what, fix, kind="foreign.unsupported"))
