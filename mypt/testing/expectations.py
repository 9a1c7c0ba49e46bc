"""How a check says what is wrong."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mypt.plugins.factory_checks import find_flaw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ContractError(AssertionError):
    """A plugin does something other than its contract says."""


def expect(is_so: bool, otherwise: str) -> None:
    """Go on if something is so.

    Args:
        is_so: What the contract asks for.
        otherwise: What the plugin does wrong.

    Raises:
        ContractError: It is not.
    """
    if not is_so:
        raise ContractError(otherwise)


@contextmanager
def during(what: str) -> Iterator[None]:
    """Add to an error of the plugin's code what was being checked."""
    try:
        yield
    except Exception as error:
        error.add_note(f"mypt.testing: this was raised while checking {what}")
        raise


def check_fields(factory: object) -> None:
    """Check what a factory holds: its name, functions and schemas.

    Raises:
        ContractError: mypt would not take it.
    """
    flaw = find_flaw(factory)
    expect(flaw is None, f"its {flaw}")


def through_json(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give what comes back from JSON.

    Raises:
        ContractError: It is not what went in.
    """
    try:
        back: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        message = f"{name} cannot be written as JSON: {error}"
        raise ContractError(message) from error
    expect(len(back) == len(value), f"{name} has keys that are one and the same in JSON")
    return back
