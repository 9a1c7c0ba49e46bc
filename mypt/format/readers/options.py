"""Check the options that a user passes to a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem, UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.contract import ReaderFactory


def select_options(options: Mapping[str, Any], reader: ReaderFactory) -> dict[str, Any]:
    """Return the options that a reader has."""
    known = reader.options.get("properties", {})
    return {name: value for name, value in options.items() if name in known}


def check_options(options: Mapping[str, Any], reader: ReaderFactory) -> None:
    """Check options against the schema of a reader.

    Raises:
        UsageError: The reader does not have an option, or does not accept its value.
    """
    from mypt.format.schema.validator import make_validator

    known = reader.options.get("properties", {})
    problems = [
        _unknown_option_problem(name, known, reader) for name in options if name not in known
    ]
    for name, value in select_options(options, reader).items():
        for error in make_validator(known[name]).iter_errors(value):
            what = f"cannot be {value!r}: {error.message}"
            fix = known[name].get("description", "correct it")
            problems.append(Problem("", f"options/{name}", what, fix, kind="option.value"))
    if problems:
        raise UsageError(*problems)


def _unknown_option_problem(name: str, known: Mapping[str, Any], reader: ReaderFactory) -> Problem:
    what = f"is not an option of the reader {reader.name}{suggestion(name, known)}"
    fix = f"it has: {', '.join(known)}" if known else "leave it out"
    return Problem("", f"options/{name}", what, fix, kind="option.unknown")
