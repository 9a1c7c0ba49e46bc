"""How a check reports what is wrong."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mypt.plugins.factory_checks import find_flaw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ContractError(AssertionError):
    """A plugin violates its contract."""


def expect(is_so: bool, otherwise: str) -> None:
    """Raise unless the plugin does what its contract asks for.

    Args:
        is_so: Whether it does.
        otherwise: Message: what the plugin does wrong.

    Raises:
        ContractError: `is_so` is false.
    """
    if not is_so:
        raise ContractError(otherwise)


@contextmanager
def during(what: str) -> Iterator[None]:
    """Add a note of what was being checked to any error of the plugin's code."""
    try:
        yield
    except Exception as error:
        error.add_note(f"mypt.testing: this was raised while checking {what}")
        raise


def check_fields(factory: object) -> None:
    """Check the fields of a factory: its name, functions and schemas.

    Raises:
        ContractError: mypt would reject the factory.
    """
    flaw = find_flaw(factory)
    expect(flaw is None, f"its {flaw}")


def through_json(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a value as it is after a round trip through JSON.

    Raises:
        ContractError: It cannot be written, or loses keys.
    """
    try:
        back: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be written as JSON: {error}"
        raise ContractError(message) from error
    expect(len(back) == len(value), f"{name} has keys that become the same key in JSON")
    return back
