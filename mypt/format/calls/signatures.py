"""Refuse a call whose arguments a function does not have, in words for the one who wrote it."""

from __future__ import annotations

from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, TypeVar

from mypt.format.errors import ConfigError, Problem
from mypt.format.names.lookup import explain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from inspect import BoundArguments, Signature

C = TypeVar("C", bound=type)
# Attributes of a document made in Python that are no fields of it, which no caller gives: unknown
# fields as they were read, and the names of those that were not there.
INTERNAL_FIELDS = frozenset({"extra", "absent"})
_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def bind_arguments(
    function: Signature,
    positional: Sequence[Any],
    named: Mapping[str, Any],
    wanted: Mapping[str, str] | None = None,
) -> BoundArguments:
    """Return the arguments of a call by the names of the parameters.

    Args:
        function: What is called; of a method, with `self`.
        positional: Arguments that were given by position, `self` among them.
        named: Those that were given by name.
        wanted: What an argument must be, in words, by name.

    Raises:
        ConfigError: One is unknown, missing, given twice or given by position although it has to be
            named; the error names all of them.
    """
    try:
        return function.bind(*positional, **named)
    except TypeError:
        problems = list(_find_problems(function, positional, named, wanted or {}))
        if not problems:
            raise
        raise ConfigError(*problems) from None


def checks_calls(cls: C) -> C:
    """Decorate a class so that wrong arguments of its constructor are a `ConfigError`."""
    construct = vars(cls)["__init__"]
    parameters = signature(construct)

    @wraps(construct)
    def __init__(self: Any, *positional: Any, **named: Any) -> None:  # noqa: N807
        try:
            construct(self, *positional, **named)
        except TypeError:
            bind_arguments(parameters, (self, *positional), named)
            raise

    type.__setattr__(cls, "__init__", __init__)
    return cls


def unknown_argument(name: str, known: Iterable[str]) -> Problem:
    """Return the problem of an argument that a function does not have.

    Args:
        name: As it was given.
        known: The arguments that the function has.
    """
    names = [other for other in known if other not in INTERNAL_FIELDS]
    near = explain_name(name, names)
    fix = "correct it" if near else f"the arguments are: {', '.join(names) or 'none'}"
    return Problem("", name, f"is not an argument{near}", fix, kind="argument")


def _find_problems(
    function: Signature,
    positional: Sequence[Any],
    named: Mapping[str, Any],
    wanted: Mapping[str, str],
) -> Iterator[Problem]:
    parameters = list(function.parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters, positional = parameters[1:], positional[1:]
    by_position = [p.name for p in parameters if p.kind in _BY_POSITION]
    by_name = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY]
    known = [*by_position, *by_name]
    kinds = {p.kind for p in parameters}
    given = by_position[: len(positional)]
    if len(positional) > len(by_position) and Parameter.VAR_POSITIONAL not in kinds:
        yield _explain_surplus(by_position, [name for name in by_name if name not in named])
    if Parameter.VAR_KEYWORD not in kinds:
        yield from (unknown_argument(name, known) for name in named if name not in known)
    for name in given:
        if name in named:
            what = "is given twice: by position and by name"
            yield Problem("", name, what, "leave one of them out", kind="argument")
    for parameter in parameters:
        name, is_named = parameter.name, parameter.kind in (*_BY_POSITION, Parameter.KEYWORD_ONLY)
        if is_named and parameter.default is Parameter.empty and name not in {*given, *named}:
            fix = f"give {wanted.get(name, 'it')}"
            yield Problem("", name, "is missing", fix, kind="argument")


def _explain_surplus(by_position: Sequence[str], by_name: Sequence[str]) -> Problem:
    """Return the problem of an argument by position that no parameter takes."""
    if by_name:
        name, others = by_name[0], ", ".join(by_position)
        what = f"is given by position, which only {others} can be" if others else "is given unnamed"
        return Problem("", name, what, f"give each by its name: {name}=...", kind="argument")
    there = ", ".join(by_position) or "none"
    what = "more arguments are given than there are"
    return Problem("", "", what, f"the arguments are: {there}", kind="argument")
