"""Problems as data, and the errors that carry them: where, what is wrong, what to do."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from mypt.format.names.lookup import find_known, format_hint

if TYPE_CHECKING:
    from collections.abc import Iterable


Severity = Literal["error", "warning", "note"]
# Where tracebacks go, at the level DEBUG, of errors that are reported by one line.
TRACEBACK_LOGGER = "mypt.tracebacks"
_MOST = 50
_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 1000  # characters of each part of a line; a file may name its fields as it likes


@frozen
class Problem:
    """One thing wrong: where, what, and what to do about it.

    Attributes:
        file: The file as the user would name it; "" where no file is concerned.
        where: JSON pointer (RFC 6901), tensor name or option; "" is the whole file.
        what: What is wrong, without the place.
        fix: What to do about it, as an imperative.
        kind: A stable slug for programs, such as `schema.type`.
        severity: `error` refuses the file; `warning` and `note` let it pass.
    """

    file: str
    where: str
    what: str
    fix: str
    kind: str = "invalid"
    severity: Severity = "error"

    def __str__(self) -> str:
        """Return a single printable line, whatever a file put into its parts."""
        file, where, what, fix = map(_shorten_text, (self.file, self.where, self.what, self.fix))
        mark = "#" if file and where.startswith("/") else " " if file else ""
        place = f"{file}{mark}{where}" if where else file
        return f"{place}: {what}; {fix}" if place else f"{what}; {fix}"


def one_line(text: str) -> str:
    """Escape line breaks and everything else that is not printable, as JSON does."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def escape_controls(text: str) -> str:
    """Escape what would control a terminal, and keep the rest, line breaks and tabs too.

    That are the control characters of C0 and C1, which begin all sequences of a terminal, the
    characters that reorder the text around them, and halves of surrogate pairs, which cannot be
    written at all. They become escapes of JSON, so that JSON stays what it was.
    """
    return _CONTROLS.sub(lambda found: _escape(found[0]), text)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1]


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun, such as `1 block` or `3,000 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _shorten_text(text: str) -> str:
    return one_line(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def has_errors(problems: Iterable[Problem]) -> bool:
    """Return whether any of the problems is an error."""
    return any(problem.severity == "error" for problem in problems)


def limit_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Return the first of many problems of one kind; a file could cause a million of them."""
    found = list(islice(problems, _MOST + 1))
    if len(found) > _MOST:
        found[_MOST] = evolve(found[_MOST], where="", what="has more problems like these")
    return found


class MyptError(Exception):
    """Base of every error about something that a user can fix.

    Attributes:
        problems: All that were found, worst first; never empty.
    """

    def __init__(self, *problems: Problem) -> None:
        """Create the error from all problems: check everything, then raise once."""
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        """Return one line per problem."""
        return "\n".join(str(problem) for problem in self.problems)


class FormatError(MyptError):
    """A file of a checkpoint does not follow the specification."""


class ConfigError(MyptError):
    """A configuration, preset or option cannot be used."""


class DataError(MyptError):
    """A text or data set cannot be trained on."""


class LockedError(MyptError):
    """Another process is writing to the same bundle."""


class SaveError(MyptError):
    """A checkpoint could not be written; the previous one is intact."""


class PluginError(MyptError):
    """A plugin is missing, broken or in conflict with another one."""


class UsageError(MyptError):
    """A command was called with options that make no sense together."""


def log_traceback(error: BaseException) -> None:
    """Log where an error came from that goes no further, for `mypt --traceback`.

    What mypt itself says of a file or an option, without another error as its cause, is left out.
    """
    if isinstance(error, MyptError) and error.__cause__ is None:
        return
    import logging

    logging.getLogger(TRACEBACK_LOGGER).debug("%s", type(error).__name__, exc_info=error)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean `x`?)' with the known word that is meant, or "" if none is near.

    Args:
        word: What was written.
        known: The words that are allowed.
    """
    return format_hint(find_known(word, known)[:1])


_ORDER = ("error", "warning", "note")


def sort_by_severity(problems: list[Problem]) -> list[Problem]:
    """Sort by severity, errors first, keeping the order within each."""
    return sorted(problems, key=lambda problem: _ORDER.index(problem.severity))
