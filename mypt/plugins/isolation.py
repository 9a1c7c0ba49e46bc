"""Isolate faults in plugin code: every error names the plugin."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields

from mypt.format.errors import FormatError, MyptError, PluginError, log_traceback
from mypt.format.readers.contract import ReaderFactory
from mypt.plugins.faults import make_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mypt.plugins.faults import Fault, PluginOrigin


# The functions of a reader that are asked about any file, and never raise.
_QUESTIONS = ("recognises", "defers")
# What a function was called on.
_PLACES = {"read": " on {}", "factor": " at step {}"}


def isolate_factory(
    factory: Any, noun: str, source: PluginOrigin, note: Callable[[Fault], None]
) -> Any:
    """Wrap a factory so that it fails with a one-line error that names its plugin.

    The same error is raised if a result violates the contract. Errors that a plugin raises about
    something the user can fix (`MyptError`) pass through, as do `OSError`s.

    Args:
        factory: The factory that a plugin offers.
        noun: What the factory makes, for messages.
        source: The plugin.
        note: Called with the fault if `recognises` or `defers` fails, which then counts as False.
    """
    is_reader = isinstance(factory, ReaderFactory)

    def wrap(function: str, call: Callable[..., Any]) -> Callable[..., Any]:
        is_lazy = function == "read" and not is_reader
        kind = FormatError if function == "read" and is_reader else PluginError

        @wraps(call)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                made = _accept_result(factory, function, call(*args, **kwargs), wrap)
            except (MyptError, OSError, KeyboardInterrupt) as error:
                if function in _QUESTIONS and not isinstance(error, KeyboardInterrupt):
                    return False  # it could not read the file, and so does not claim it
                raise
            except BaseException as error:  # third-party code may raise anything
                place = _PLACES.get(function, "").format(*args)
                fault = make_call_fault(source, function, f"{noun}{place}", error)
                if function in _QUESTIONS:
                    log_traceback(error)
                    note(fault)
                    return False
                raise kind(evolve(fault.problem, severity="error")) from error
            return _isolate_documents(made, f"{noun} on {args[0]}", source) if is_lazy else made

        return wrapper

    held = {a.name: getattr(factory, a.name) for a in fields(type(factory))}
    calls = {name: wrap(name, value) for name, value in held.items() if callable(value)}
    isolated: Any = evolve(factory, **calls)
    return evolve(isolated, offered_by=str(source)) if is_reader else isolated


def _accept_result(
    factory: Any, function: str, result: Any, wrap: Callable[[str, Callable[..., Any]], Any]
) -> Any:
    """Return what a factory's function made, with its own functions isolated too."""
    from mypt.plugins.results import accept_result  # names every contract

    return accept_result(factory, function, result, wrap)


def _isolate_documents(documents: Iterable[Any], noun: str, source: PluginOrigin) -> Iterator[Any]:
    try:
        yield from documents
    except (MyptError, OSError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # third-party code may raise anything
        fault = make_call_fault(source, "read", noun, error)
        raise PluginError(evolve(fault.problem, severity="error")) from error


def make_call_fault(source: PluginOrigin, function: str, noun: str, error: BaseException) -> Fault:
    """Return the fault of a plugin whose code raised an error.

    Args:
        source: The plugin.
        function: The function that was called.
        noun: What it is a function of.
        error: What it raised.
    """
    return make_fault(source, f"failed in `{function}` of its {noun}: {summarize_error(error)}")


def summarize_error(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
