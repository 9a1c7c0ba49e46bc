"""`--option NAME=VALUE`: what a reader has to be told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def reader_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flag, which gives `options`, a tuple for `parse_options`."""
    return click.option(
        "--option",
        "options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Tell the reader what a foreign file does not say; may be repeated.",
    )(function)


def parse_options(given: Iterable[str]) -> dict[str, Any]:
    """Read options; a value that is a JSON number or list is taken as such, others as text.

    Raises:
        UsageError: One has no "=".
    """
    options: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            message = f"--option {text} names no value; write it as NAME=VALUE"
            raise click.UsageError(message)
        options[name] = _parse_value(value)
    return options


def _parse_value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, str) else value
