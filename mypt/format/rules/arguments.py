"""Rules for the arguments of Python functions, which have no schema."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from attrs import frozen

from mypt.format.calls.signatures import bind_arguments
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")
_SHOWN = 40  # characters of a value in a message


@frozen
class Rule:
    """What an argument must be.

    Attributes:
        wanted: The same in words, after "make it".
        convert: Returns the value as the type that the function works on; raises `TypeError`,
            `ValueError` or `OverflowError` if it is something else.
    """

    wanted: str
    convert: Callable[[Any], Any]


def check_arguments(**given: tuple[Any, Rule]) -> dict[str, Any]:
    """Return the arguments of a call, converted.

    Args:
        **given: By name, a value and what it must be.

    Raises:
        ConfigError: Some are something else; the error names all of them.
    """
    checked, problems = {}, []
    for name, (value, rule) in given.items():
        try:
            checked[name] = rule.convert(value)
        except (TypeError, ValueError, OverflowError):
            what, fix = f"is {_show_value(value)}", f"make it {rule.wanted}"
            problems.append(Problem("", name, what, fix, kind="argument"))
    if problems:
        raise ConfigError(*problems)
    return checked


def checked(**rules: Rule) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that checks and converts arguments at each call.

    Args:
        **rules: By the name of a parameter, what its argument must be.

    Raises:
        ConfigError: From the function: arguments are something else, or not those that it has; the
            error names all of them.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = signature(function)
        wanted = {name: rule.wanted for name, rule in rules.items()}

        @wraps(function)
        def call(*positional: P.args, **named: P.kwargs) -> R:
            bound = bind_arguments(parameters, positional, named, wanted)
            given = {n: (v, rules[n]) for n, v in bound.arguments.items() if n in rules}
            bound.arguments.update(check_arguments(**given))
            return function(*bound.args, **bound.kwargs)

        return call

    return decorate


def whole_number(least: int = 0, below: int | None = None) -> Rule:
    """Return the rule of an integer, Python's or numpy's, from `least` to `below`, without it."""

    def convert(value: Any) -> int:
        number = _convert_integer(value)
        _require(number >= least and (below is None or number < below))
        return number

    upper = "" if below is None else f", below {_format_bound(below)}"
    return Rule(f"a whole number of {least} or more{upper}", convert)


def number_where(is_well: Callable[[float], bool], wanted: str) -> Rule:
    """Return the rule of a number, Python's or numpy's, that satisfies a condition."""

    def convert(value: Any) -> float:
        _require(isinstance(value, Real) and not isinstance(value, bool))
        number = float(value)
        _require(not math.isnan(number) and is_well(number))
        return number

    return Rule(wanted, convert)


def optional(rule: Rule) -> Rule:
    """Return a rule that also allows None."""
    return Rule(rule.wanted, lambda value: None if value is None else rule.convert(value))


def one_of(*choices: str) -> Rule:
    """Return the rule of one of several words."""

    def convert(value: Any) -> str:
        _require(isinstance(value, str) and value in choices)
        return str(value)

    return Rule(" or ".join(choices), convert)


def sequence_of(rule: Rule, wanted: str) -> Rule:
    """Return the rule of several values, an iterable that is not a string; converted to a tuple."""

    def convert(values: Any) -> tuple[Any, ...]:
        _require(not isinstance(values, str | bytes))
        return tuple(rule.convert(value) for value in values)

    return Rule(wanted, convert)


def mapping_of(rule: Rule, wanted: str) -> Rule:
    """Return the rule of a mapping of names to values of one kind."""

    def convert(values: Any) -> dict[str, Any]:
        _require(isinstance(values, Mapping))
        return {TEXT.convert(name): rule.convert(value) for name, value in values.items()}

    return Rule(wanted, convert)


def either(*rules: Rule, wanted: str) -> Rule:
    """Return the rule of a value that satisfies one of several; the first that fits counts."""

    def convert(value: Any) -> Any:
        for rule in rules[:-1]:
            with suppress(TypeError, ValueError, OverflowError):
                return rule.convert(value)
        return rules[-1].convert(value)

    return Rule(wanted, convert)


def instance_of(wanted: str, *types: type) -> Rule:
    """Return the rule of an object of one of several types, or `wanted` in words."""
    return where(lambda value: isinstance(value, types), wanted)


def where(is_well: Callable[[Any], bool], wanted: str) -> Rule:
    """Return the rule of anything that satisfies a condition."""

    def convert(value: Any) -> Any:
        _require(is_well(value))
        return value

    return Rule(wanted, convert)


def _convert_integer(value: Any) -> int:
    _require(not isinstance(value, bool))
    return operator.index(value)


def _convert_plain(value: Any) -> Any:
    """Return a value as one of JSON; a number of numpy as Python's, a path as its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {TEXT.convert(name): _convert_plain(member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_convert_plain(member) for member in value]
    return INTEGER.convert(value) if isinstance(value, Integral) else float(value)


INTEGER = Rule("a whole number", _convert_integer)
TEXT = instance_of("a string", str)
FLAG = instance_of("True or False", bool)
PATH = where(lambda value: isinstance(os.fspath(value), str), "a path")
MAPPING = instance_of("a mapping of names to values", Mapping)
PLAIN = Rule("a value that JSON has", _convert_plain)


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _format_bound(bound: int) -> str:
    power = bound.bit_length() - 1
    return f"2^{power}" if power > 30 and bound == 1 << power else f"{bound:,}"


def _show_value(value: Any) -> str:
    """Return a number as it is, and anything else so that its type can be seen."""
    shown = str(value) if isinstance(value, Real) else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
