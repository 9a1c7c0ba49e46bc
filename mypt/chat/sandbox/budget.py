"""How much a template may do, and how large its values may grow."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError

_LARGEST = 1 << 22  # characters and items in one value, beyond what the conversation itself has
_TOTAL = 1 << 26  # the same of all values that are made
_FACTOR = 64  # times the conversation, of all
DOES_TOO_MUCH = "the template does too much"
STEP = 64  # what a turn of a loop or a call counts
_SECONDS = 10.0
_WIDEST = 100
_DIGITS = 4096  # of a number, in bits
_PLAIN = (str, int, float, bool, type(None))
_WIDE = re.compile(r"\d{4}|\{[^{}]*\{|%[^a-z%]*\*")  # a width that could be any


class Budget:
    """What a rendering may still use.

    Attributes:
        largest: The largest value that it may make.
        left: What is left for all of them.
    """

    def __init__(self, given: Any, seconds: float = _SECONDS) -> None:
        """Begin with what a rendering may use.

        Args:
            given: All that the template reads; the larger it is, the more it may use.
            seconds: How long the thread may work.
        """
        size = measure(given, _TOTAL * _FACTOR)
        self.largest = _LARGEST + 4 * size
        self.left = _TOTAL + _FACTOR * size
        self._end = time.thread_time() + seconds

    def use(self, amount: int) -> None:
        """Count something.

        Raises:
            SecurityError: There is not as much left.
        """
        self.left -= amount
        if self.left < 0 or time.thread_time() > self._end:
            _refuse("repeats something too often")

    def allow(self, size: int) -> None:
        """Raise if a value is larger than one may be."""
        if size > self.largest:
            _refuse("makes a text or a list that is too large")

    def admit(self, value: Any) -> Any:
        """Return a value that a template has made, and count it."""
        if isinstance(value, str):
            self.allow(len(value))
            self.use(len(value))
        elif isinstance(value, list | tuple | dict):
            self.allow(measure(value, self.largest))
            self.use(STEP * len(value))
        elif isinstance(value, int):
            _check_digits(value)
        return value


def measure(value: Any, most: int) -> int:
    """Return the characters and items in a value, or something above `most`."""
    size, waiting = 0, [value]
    while waiting and size <= most:
        one = waiting.pop()
        size += 1
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set):
            waiting += one
        elif isinstance(one, range):
            size += len(one)
    return size


def check_operator(budget: Budget, operator: str, left: Any, right: Any) -> None:
    """Raise if an operator makes too large a value, before it does."""
    for one in (left, right):
        if isinstance(one, int):
            _check_digits(one)
    if operator == "*":
        budget.allow(_size_of_product(left, right))
    elif operator == "**":
        if not (isinstance(right, int | float) and abs(right) <= STEP and abs(left) < 1 << STEP):
            _refuse("calculates with numbers that are too large")
    elif operator == "%" and isinstance(left, str):
        check_form(budget, left, right)
    elif operator == "+" and isinstance(left, str) and isinstance(right, str):
        budget.allow(len(left) + len(right))


def check_method(budget: Budget, text: str, name: str, args: tuple[Any, ...]) -> None:
    """Raise if a method of a text makes too large a text, before it does."""
    if name == "replace" and len(args) > 1:
        budget.allow(len(text) + text.count(str(args[0])) * len(str(args[1])))
    elif name == "join" and args:
        _check_joined(budget, args[0], text)
    elif name == "format":
        check_form(budget, text, args)


def check_filter(budget: Budget, name: str, value: Any, given: Sequence[Any]) -> None:
    """Raise if a filter makes too large a value, before it does.

    Args:
        budget: What the rendering may use.
        name: Name of the filter.
        value: What is filtered.
        given: Its arguments; those given by name come last, in any order.
    """
    if name == "replace":
        for old, new in permutations(given[:3], 2):
            check_method(budget, str(value), name, (old, new))
    elif name == "join":
        for one in given or ("",):
            _check_joined(budget, value, str(one))
    elif name in ("indent", "round", "tojson"):
        if any(
            one > _WIDEST if isinstance(one, int) else measure(one, _WIDEST) > _WIDEST
            for one in given
        ):
            _refuse("indents or rounds too far")
        budget.allow(measure(value, budget.largest))
    elif name in ("string", "title", "escape", "e"):
        budget.allow(measure(value, budget.largest))


def check_form(budget: Budget, form: str, values: Any) -> None:
    """Raise if a format makes too large a text, before it does."""
    held = values.values() if isinstance(values, Mapping) else values
    listed = [*held] if isinstance(held, Iterable) and not isinstance(held, str) else [held]
    if _WIDE.search(form) or not all(isinstance(one, _PLAIN) for one in listed):
        _refuse("formats more than single values of a small width")
    budget.allow(len(form) + form.count("%") * measure(listed, budget.largest))
    budget.allow(len(form) + form.count("{") * measure(listed, budget.largest))


def _size_of_product(left: Any, right: Any) -> int:
    for one, count in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(count, int):
            return measure(one, 1 << 40) * max(count, 0)
    return 0


def _check_digits(number: int) -> None:
    if number.bit_length() > _DIGITS:
        _refuse("calculates with numbers that are too large")


def _check_joined(budget: Budget, items: Any, separator: str) -> None:
    size = measure(items, budget.largest)
    count = len(items) if hasattr(items, "__len__") else 0
    budget.allow(size + count * len(separator))


def _refuse(what: str) -> NoReturn:
    message = f"{DOES_TOO_MUCH}: it {what}"
    raise SecurityError(message)
