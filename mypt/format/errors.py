"""What can be wrong, as data: every message says where, what and what to do."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


Severity = Literal["error", "warning", "note"]
_MOST = 50
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
        """Give the one line that a person reads, whatever a file has put into its parts."""
        file, where, what, fix = map(_shorten_text, (self.file, self.where, self.what, self.fix))
        mark = "#" if file and where.startswith("/") else " " if file else ""
        place = f"{file}{mark}{where}" if where else file
        return f"{place}: {what}; {fix}" if place else f"{what}; {fix}"


def one_line(text: str) -> str:
    """Escape line breaks and whatever else would do something to a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def format_count(number: int, noun: str) -> str:
    """Give a number with its noun, such as `1 block` or `3,000 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _shorten_text(text: str) -> str:
    return one_line(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def has_errors(problems: Iterable[Problem]) -> bool:
    """Tell whether any of the problems refuses the file."""
    return any(problem.severity == "error" for problem in problems)


def limit_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Take the first of many problems of one kind; a file could have a million for us."""
    found = list(islice(problems, _MOST + 1))
    if len(found) > _MOST:
        found[_MOST] = evolve(found[_MOST], where="", what="has more problems like these")
    return found


class MyptError(Exception):
    """Base of every error about something a user can mend.

    Attributes:
        problems: All that was found, worst first; never empty.
    """

    def __init__(self, *problems: Problem) -> None:
        """Take all problems at once: check everything, then raise once."""
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        """Give one line per problem."""
        return "\n".join(str(problem) for problem in self.problems)


class FormatError(MyptError):
    """A file of a checkpoint is not what the specification says."""


class ConfigError(MyptError):
    """A configuration, preset or option cannot be used."""


class DataError(MyptError):
    """A text or data set cannot be trained on."""


class LockedError(MyptError):
    """Another process writes to the same bundle."""


class SaveError(MyptError):
    """A checkpoint could not be written; the one before it is whole."""


class PluginError(MyptError):
    """A plugin is missing, broken or in conflict with another one."""


class UsageError(MyptError):
    """A command was called in a way that cannot mean anything."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Name the nearest of the known words, as ' (did you mean `x`?)', or nothing.

    Args:
        word: What was written.
        known: Iterable of what would have been understood.
    """
    import difflib

    near = difflib.get_close_matches(word[:100], list(known), n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


_ORDER = ("error", "warning", "note")


def sort_by_severity(problems: list[Problem]) -> list[Problem]:
    """Sort by severity, keeping the order inside of each."""
    return sorted(problems, key=lambda problem: _ORDER.index(problem.severity))
