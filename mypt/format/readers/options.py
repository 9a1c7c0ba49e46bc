"""Check the options that a user passes to a reader, and ask for those that it lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from mypt.format.errors import FormatError, Problem, UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.format.readers.contract import ReaderFactory

# The kind of what a foreign file leaves to be asked for, which is no fault of the file.
UNSAID = "foreign.unsaid"
_UNKNOWN = "option.unknown"


class OptionTaker(Protocol):
    """What options are for: a reader, or an exporter."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def noun(self) -> str: ...  # noqa: D102
    @property
    def options(self) -> Mapping[str, Any]: ...  # noqa: D102


def select_options(options: Mapping[str, Any], taker: OptionTaker) -> dict[str, Any]:
    """Return the options that a reader or an exporter has."""
    known = taker.options.get("properties", {})
    return {name: value for name, value in options.items() if name in known}


def share_options(
    options: Mapping[str, Any], takers: Sequence[OptionTaker | None]
) -> list[dict[str, Any]]:
    """Return for each of several readers and exporters those of the options that it has.

    Args:
        options: What the user gave for all of them.
        takers: The readers and exporters; None for a bundle, which takes no options.

    Raises:
        UsageError: None of them has one of the options.
    """
    present = [taker for taker in takers if taker is not None]
    known = {name for taker in present for name in taker.options.get("properties", {})}
    problems = [
        _make_unknown_problem(name, known, present) for name in options if name not in known
    ]
    if problems:
        raise UsageError(*problems)
    return [{} if taker is None else select_options(options, taker) for taker in takers]


def check_values(options: Mapping[str, Any], taker: OptionTaker) -> None:
    """Check options against the schema of a reader or an exporter.

    Raises:
        UsageError: It does not have an option, or does not accept its value.
    """
    from mypt.format.schema.validator import make_validator

    known = taker.options.get("properties", {})
    problems = [
        _make_unknown_problem(name, known, [taker]) for name in options if name not in known
    ]
    for name, value in select_options(options, taker).items():
        for error in make_validator(known[name]).iter_errors(value):
            what = f"cannot be {value!r}: {error.message}"
            fix = known[name].get("description", "correct it")
            problems.append(Problem("", f"options/{name}", what, fix, kind="option.value"))
    if problems:
        raise UsageError(*problems)


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
    check_values(options, reader)
    known = reader.options.get("properties", {})
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
    name: str, known: Mapping[str, Any] | set[str], takers: Sequence[OptionTaker]
) -> Problem:
    if not takers:
        what = "only applies to checkpoints of other programs; a bundle needs none"
        return Problem("", f"options/{name}", what, "leave it out", kind=_UNKNOWN)
    names: dict[str, list[str]] = {}
    for taker in takers:
        names.setdefault(taker.noun, []).append(taker.name)
    whose = " or ".join(
        f"the {noun} {' or '.join(dict.fromkeys(found))}" for noun, found in names.items()
    )
    what = f"is not an option of {whose}{suggestion(name, known)}"
    fix = f"it has: {', '.join(sorted(known))}" if known else "leave it out"
    return Problem("", f"options/{name}", what, fix, kind=_UNKNOWN)
