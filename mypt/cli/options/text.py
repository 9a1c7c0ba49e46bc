"""What options and arguments have as text: what is not empty, JSON, and tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

_MOST_DIGITS = 300  # of an id; Python refuses to read numbers of thousands

if TYPE_CHECKING:
    TextType = click.ParamType[str]
else:
    TextType = click.ParamType  # which older releases of click know for no type of value


class NonEmptyText(TextType):
    """Text that is not empty; an empty path would mean the current folder."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Fail if the text is empty."""
        if not value:
            self.fail("must not be empty", param, ctx)
        return str(value)


TEXT = NonEmptyText()


def parse_json(text: str) -> Any:
    """Parse a value that is given as JSON.

    Raises:
        ValueError: It is not JSON, or nested too deeply, or has a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error


def parse_token(text: str) -> int | str:
    """Return the id that a text is, or the text of a token."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else text
