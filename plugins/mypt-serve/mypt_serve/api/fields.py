"""Read the body of a request: strict JSON, one parameter at a time, none of them ignored."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mypt_serve.api.errors import ApiError, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
_MOST_SHOWN = 40


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        ApiError: It is none, or has a number that JSON does not know, or a name twice.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_int=_parse_int,
            parse_constant=_refuse_constant,
            object_pairs_hook=_collect_once,
        )
    except (ValueError, RecursionError) as error:
        message = f"The body is not valid JSON: {_describe(error)}."
        raise ApiError(400, message, code="invalid_json") from error
    if not isinstance(value, dict):
        raise ApiError(400, "The body is not a JSON object.", code="invalid_json")
    return value


def _describe(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)[:200]


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _parse_int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # Python reads no thousands of digits
        message = f"a number has {len(digits)} digits"
        raise ValueError(message) from error


def _collect_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    collected = dict(pairs)
    if len(collected) < len(pairs):
        message = "an object has a name twice"
        raise ValueError(message)
    return collected


class Fields:
    """The parameters of a request, each of which has to be taken."""

    def __init__(self, values: Mapping[str, Any], within: str = "") -> None:
        """Begin with all of them; one that is null counts as left out.

        Args:
            values: The parameters, or those within one of these.
            within: The one that they are within, such as `messages[0]`.
        """
        self._left = {name: value for name, value in values.items() if value is not None}
        self._prefix = f"{within}." if within else ""

    def take(self, name: str, read: Callable[[str, Any], T], default: T) -> T:
        """Take a parameter.

        Args:
            name: Its name.
            read: Checks and converts its value.
            default: What it is where it was left out.

        Raises:
            ApiError: From `read`: the value is wrong.
        """
        return read(self._prefix + name, self._left.pop(name)) if name in self._left else default

    def need(self, name: str, read: Callable[[str, Any], T]) -> T:
        """Take a parameter that has to be there.

        Raises:
            ApiError: It is not, or is wrong.
        """
        if name not in self._left:
            place = self._prefix + name
            message = f"Missing required parameter: '{place}'."
            raise ApiError(400, message, param=place, code="missing_required_parameter")
        return read(self._prefix + name, self._left.pop(name))

    def refuse_rest(self, neutral: Mapping[str, tuple[Any, ...]]) -> None:
        """Raise for a parameter that was not taken.

        Args:
            neutral: Parameters that are not supported, with the values that ask for nothing.

        Raises:
            ApiError: One has another value, or is not known.
        """
        for name, value in self._left.items():
            cut = name[:_MOST_SHOWN].encode("utf-8", "backslashreplace").decode()
            shown = self._prefix + cut
            if name not in neutral:
                message = f"Unrecognized request argument supplied: {shown}."
                raise ApiError(400, message, param=shown, code="unknown_parameter")
            fine = neutral[name]
            if not any(type(value) is type(one) and value == one for one in fine):
                only = f"; leave it out, or set it to {_list_values(fine)}" if fine else ""
                what = f"is not supported by this server{only or '; leave it out'}"
                refuse(shown, what, "unsupported_parameter")


def _list_values(values: tuple[Any, ...]) -> str:
    return " or ".join(json.dumps(value) for value in values)


def boolean(name: str, value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        refuse(name, "must be true or false", "invalid_type")
    return value


def text(name: str, value: Any) -> str:
    """Read a string that is text: half of a pair of surrogates is none."""
    if not isinstance(value, str):
        refuse(name, "must be a string", "invalid_type")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(name, "has a surrogate that is no character")
    return value


def integer(low: int, high: int) -> Callable[[str, Any], int]:
    """Return what reads an integer from `low` to `high`."""

    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            refuse(name, "must be an integer", "invalid_type")
        if not low <= value <= high:
            refuse(name, f"must be from {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[str, Any], float]:
    """Return what reads a number from `low` to `high`."""

    def read(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            refuse(name, "must be a number", "invalid_type")
        if not (low <= value <= high and math.isfinite(value)):
            refuse(name, f"must be from {low:g} to {high:g}")
        return float(value)

    return read


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Read a JSON object."""
    if not isinstance(value, dict):
        refuse(name, "must be an object", "invalid_type")
    return value
