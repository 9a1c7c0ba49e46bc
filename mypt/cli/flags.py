"""Flags in the place of the fields they set, in what is said of their values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from attrs import evolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.errors import Problem

# Flags that are named otherwise than the argument they fill.
_OTHERS = {"stop_tokens": "--stop_token"}


@contextmanager
def naming_flags() -> Iterator[None]:
    """Name the flags of the command that runs where an error names fields of no file."""
    from mypt.format.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        params = click.get_current_context().command.params
        flags = {p.name: p.opts[0] for p in params if p.name is not None} | _OTHERS
        raise type(error)(*(_named(problem, flags) for problem in error.problems)) from error


def _named(problem: Problem, flags: dict[str, str]) -> Problem:
    field, slash, rest = problem.where.partition("/")
    if problem.file or field not in flags:
        return problem
    return evolve(problem, where=f"{flags[field]}{slash}{rest}")
