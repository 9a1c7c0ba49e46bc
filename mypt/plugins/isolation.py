"""Name the plugin in whatever goes wrong inside of what it offers."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields

from mypt.format.errors import FormatError, MyptError, PluginError
from mypt.plugins.contracts import GuardFactory
from mypt.plugins.factory_checks import check_result
from mypt.plugins.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.plugins.faults import PluginOrigin


def isolate_factory(
    factory: Any, noun: str, source: PluginOrigin, note: Callable[[Fault], None]
) -> Any:
    """Give a factory that fails with one line, which names its plugin.

    So does one that makes something else than its contract says. The errors with which a plugin
    says what a user can mend are passed on, and those of the disk.

    Args:
        factory: What a plugin offers.
        noun: What it is, for messages.
        source: The plugin.
        note: Told of a reader that cannot even say whether it knows a file: it knows none.
    """

    def make_fault(function: str, error: BaseException) -> Fault:
        return Fault(source, f"failed in `{function}` of its {noun}: {summarize_error(error)}")

    def check(function: str, result: Any) -> Any:
        made = check_result(factory, function, result)
        is_guard = isinstance(factory, GuardFactory) and function == "build"
        return wrap("judge", made) if is_guard else made

    def wrap(function: str, call: Callable[..., Any]) -> Callable[..., Any]:
        kind = FormatError if function == "read" else PluginError

        @wraps(call)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                return check(function, call(*args, **kwargs))
            except (MyptError, OSError, KeyboardInterrupt):
                raise
            except BaseException as error:  # whatever a stranger's code raises
                fault = make_fault(function, error)
                if function == "recognises":
                    note(fault)
                    return False
                raise kind(evolve(fault.problem, severity="error")) from error

        return wrapper

    held = {a.name: getattr(factory, a.name) for a in fields(type(factory))}
    calls = {name: wrap(name, value) for name, value in held.items() if callable(value)}
    return evolve(factory, **calls)


def summarize_error(error: BaseException) -> str:
    """Give the kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
