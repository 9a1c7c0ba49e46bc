"""How a check reports what is wrong."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve, fields

from mypt.format.errors import PluginError
from mypt.plugins.contracts.fields import find_flaw
from mypt.plugins.isolation import summarize_error
from mypt.plugins.results import check_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class ContractError(AssertionError):
    """A plugin violates its contract."""


class _HasOptions(Protocol):
    @property
    def options(self) -> Mapping[str, Any]: ...


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
    """Turn any error of the plugin's code into a `ContractError` that says what was being checked.

    Raises:
        ContractError: The plugin raised; the error that it raised is the cause.
    """
    try:
        yield
    except ContractError:
        raise
    except (Exception, SystemExit) as error:
        is_wrapped = isinstance(error, PluginError) and error.__cause__ is not None
        raised = error.__cause__ if is_wrapped else error
        message = f"{what}: it raises {summarize_error(raised or error)}"
        raise ContractError(message) from raised


def check_fields(factory: object, kind: type) -> None:
    """Check the fields of a factory: its name, functions and schemas.

    Args:
        factory: What the plugin offers.
        kind: The class of such factories.

    Raises:
        ContractError: mypt would reject the factory.
    """
    got = type(factory).__name__
    expect(type(factory) is kind, f"it is a {got}, not a {kind.__name__} as the plugin offers it")
    flaw = find_flaw(factory)
    expect(flaw is None, f"its {flaw}")


def checking_results(factory: Any) -> Any:
    """Return a factory whose functions raise where a result violates its contract, as in a run."""

    def wrap(function: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def checked(*args: Any, **kwargs: Any) -> Any:
            return check_result(factory, function, call(*args, **kwargs))

        return checked

    held = {field.name: getattr(factory, field.name) for field in fields(type(factory))}
    calls = {name: wrap(name, value) for name, value in held.items() if callable(value)}
    return evolve(factory, **calls)


def check_options(factory: _HasOptions, options: Mapping[str, Any]) -> None:
    """Check that the schema of a factory accepts some options.

    Raises:
        ContractError: It does not.
    """
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(factory.options).iter_errors(dict(options)):
        expect(False, f"its own schema rejects the options {dict(options)}: {error.message}")


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
