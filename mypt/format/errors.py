"""What can be wrong, as data: every message says where, what and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning", "note"]


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
        """Give the one line that a person reads."""
        mark = "#" if self.file and self.where.startswith("/") else " " if self.file else ""
        place = f"{self.file}{mark}{self.where}" if self.where else self.file
        return f"{place}: {self.what}; {self.fix}" if place else f"{self.what}; {self.fix}"


def has_errors(problems: Iterable[Problem]) -> bool:
    """Tell whether any of the problems refuses the file."""
    return any(problem.severity == "error" for problem in problems)


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

    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""
