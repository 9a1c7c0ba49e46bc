"""Arguments that a flag may give instead: `mypt inspect dante`, or `--model_name dante`."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.guidance.examples import with_example
from mypt.cli.options.text import TEXT
from mypt.cli.options.values.suggested import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

_MODEL = "the name of a model in checkpoints/, or a path"


def model_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument MODEL and the flag `--model_name`, either of which fills `model_name`."""
    return named_argument("model", "model_name", "The same as MODEL.", needed=_MODEL, kind=MODEL)(
        function
    )


def named_argument(
    word: str, flag: str, text: str, needed: str = "", kind: click.ParamType[str] = TEXT
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds an argument and a flag for the same value.

    Args:
        word: Name of the argument.
        flag: Name of the flag, and of the parameter of the function.
        text: Help of the flag.
        kind: Type of the value.
        needed: What has to be named, for the message if nothing is; "" if it need not be.

    Raises:
        UsageError: From the command: the two differ, or neither is given where one is needed.
    """
    metavar = word.upper()

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(**given: Any) -> Any:
            named = [value for value in (given.pop(word), given[flag]) if value is not None]
            if len(set(named)) > 1:
                message = f"{metavar} is '{named[0]}', but --{flag} is '{named[1]}'; give one"
                raise click.UsageError(message)
            if needed and not named:
                message = f"Missing argument '{metavar}', {needed}"
                path = click.get_current_context().command_path
                raise click.UsageError(with_example(message, path))
            given[flag] = named[0] if named else None
            return function(**given)

        metavar_shown = metavar if needed else f"[{metavar}]"
        option = click.option(f"--{flag}", type=kind, help=text)
        argument = click.argument(word, type=kind, required=False, metavar=metavar_shown)
        return argument(option(call))

    return decorate
