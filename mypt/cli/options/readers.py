"""`--option NAME=VALUE`: settings for the reader of a foreign checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from mypt.cli.options.text import parse_json
from mypt.cli.options.values.suggested import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

F = TypeVar("F", bound="Callable[..., Any]")


def reader_options(
    help_text: str = "Set what a checkpoint of another program does not record; may be repeated.",
    **attributes: Any,
) -> Callable[[F], F]:
    """Return a decorator for every command that opens a checkpoint, whatever wrote it.

    It adds the flag, which fills `options`, a tuple for `parse_options`.

    Args:
        help_text: What the options are for.
        **attributes: Further arguments of `click.option`.
    """
    return click.option(
        "--option",
        "options",
        multiple=True,
        metavar="NAME=VALUE",
        help=help_text,
        **attributes,
    )


def base_option(**attributes: Any) -> Callable[[F], F]:
    """Return a decorator for every command that computes with a model, which may be an adapter.

    Args:
        **attributes: Further arguments of `click.option`.
    """
    return click.option(
        "--base",
        type=MODEL,
        help="Base of an adapter: a path or a name; by default it is looked for.",
        **attributes,
    )


def parse_options(given: Iterable[str]) -> dict[str, Any]:
    """Parse options; a value that is JSON, such as a number or a list, is decoded.

    Raises:
        UsageError: An option has no "=".
    """
    options: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            message = f"--option {text} has no value; write it as NAME=VALUE"
            raise click.UsageError(message)
        options[name] = _parse_value(value)
    return options


def _parse_value(text: str) -> Any:
    try:
        value = parse_json(text)
    except ValueError:
        return text
    return text if isinstance(value, str) else value
