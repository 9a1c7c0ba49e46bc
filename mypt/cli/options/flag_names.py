"""Name flags instead of fields in error messages."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from attrs import evolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.errors import Problem

# Flags whose name differs from that of their argument.
_RENAMED = {"stop_tokens": "--stop_token"}
# The argument whose flag takes NAME=VALUE.
_NAMED_VALUES = "options"


def list_flags(command: click.Command) -> dict[str, str]:
    """Return the flags of a command by the names of their arguments."""
    return {p.name: p.opts[0] for p in command.params if p.name is not None}


@contextmanager
def name_flags() -> Iterator[None]:
    """Replace fields by flags of the running command in errors that are about no file."""
    from mypt.format.errors import ConfigError, UsageError

    try:
        yield
    except (ConfigError, UsageError) as error:
        flags = list_flags(click.get_current_context().command) | _RENAMED
        raise type(error)(*(_name_flag(problem, flags) for problem in error.problems)) from error


def _name_flag(problem: Problem, flags: dict[str, str]) -> Problem:
    field, slash, rest = problem.where.partition("/")
    if problem.file or field not in flags:
        return problem
    return evolve(problem, where=f"{flags[field]}{' ' if field == _NAMED_VALUES else slash}{rest}")
