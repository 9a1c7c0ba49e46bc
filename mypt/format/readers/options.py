"""Check the options that a user passes to a reader, and ask for those that it lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem, UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.format.readers.contract import ReaderFactory

# The kind of what a foreign file leaves to be asked for, which is no fault of the file.
UNSAID = "foreign.unsaid"
_UNKNOWN = "option.unknown"


def select_options(options: Mapping[str, Any], reader: ReaderFactory) -> dict[str, Any]:
    """Return the options that a reader has."""
    known = reader.options.get("properties", {})
    return {name: value for name, value in options.items() if name in known}


def share_options(
    options: Mapping[str, Any], readers: Sequence[ReaderFactory | None]
) -> list[dict[str, Any]]:
    """Return for each of several checkpoints those of the options that its reader has.

    Args:
        options: What the user gave for all of them.
        readers: The reader of each; None for a bundle, which takes no options.

    Raises:
        UsageError: None of the readers has one of the options.
    """
    foreign = [reader for reader in readers if reader is not None]
    known = {name for reader in foreign for name in reader.options.get("properties", {})}
    problems = [
        _make_unknown_problem(name, known, foreign) for name in options if name not in known
    ]
    if problems:
        raise UsageError(*problems)
    return [{} if reader is None else select_options(options, reader) for reader in readers]


def check_options(options: Mapping[str, Any], reader: ReaderFactory, file: str) -> None:
    """Check options against the schema of a reader.

    Args:
        options: What the user gave.
        reader: The reader.
        file: What it is to read, for messages.

    Raises:
        UsageError: The reader does not have an option, or does not accept its value.
        FormatError: An option that the reader requires is missing.
    """
    from mypt.format.schema.validator import make_validator

    known = reader.options.get("properties", {})
    problems = [
        _make_unknown_problem(name, known, [reader]) for name in options if name not in known
    ]
    for name, value in select_options(options, reader).items():
        for error in make_validator(known[name]).iter_errors(value):
            what = f"cannot be {value!r}: {error.message}"
            fix = known[name].get("description", "correct it")
            problems.append(Problem("", f"options/{name}", what, fix, kind="option.value"))
    if problems:
        raise UsageError(*problems)
    for name in reader.options.get("required", ()):
        if name not in options:
            meaning = known.get(name, {}).get("description", "")
            what = f"does not say {name}{f' ({meaning})' if meaning else ''}"
            raise missing_option(file, what, f"{name}=...")


def missing_option(file: str, what: str, *ways: str) -> FormatError:
    """Return the error that asks for options where a file lacks information.

    Args:
        file: Name of the file.
        what: What it lacks, without the place.
        ways: Options that supply it, as `NAME=VALUE`.
    """
    flags = ", or ".join(f"--option {way}" for way in ways)
    arguments = " or ".join(map(_format_argument, ways))
    fix = f"supply it: {flags} (in Python: options={arguments})"
    return FormatError(Problem(file, "", what, fix, kind=UNSAID))


def _format_argument(way: str) -> str:
    """Return the argument `options` that says in Python what `NAME=VALUE` says in a command."""
    name, _, value = way.partition("=")
    is_literal = value == "..." or value.isdecimal()
    return f'{{"{name}": {value if is_literal else json.dumps(value)}}}'


def _make_unknown_problem(
    name: str, known: Mapping[str, Any] | set[str], readers: Sequence[ReaderFactory]
) -> Problem:
    if not readers:
        what = "only applies to checkpoints of other programs; a bundle needs none"
        return Problem("", f"options/{name}", what, "leave it out", kind=_UNKNOWN)
    names = " or ".join(dict.fromkeys(reader.name for reader in readers))
    what = f"is not an option of the reader {names}{suggestion(name, known)}"
    fix = f"it has: {', '.join(sorted(known))}" if known else "leave it out"
    return Problem("", f"options/{name}", what, fix, kind=_UNKNOWN)
