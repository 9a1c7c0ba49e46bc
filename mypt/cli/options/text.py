"""What options and arguments have as text: what is not empty, JSON, and tokens."""

from __future__ import annotations

import json
import os
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


class Prompt(TextType):
    """Text that a model reads.

    Python makes halves of surrogate pairs of bytes of the command line for which the locale has no
    characters. A tokenizer would replace them without a word.
    """

    name = "text"

    def __init__(self, *, may_be_empty: bool) -> None:
        """Create the type."""
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, read as UTF-8 where the locale could not; fail if it is none."""
        if not self._may_be_empty:
            TEXT.convert(value, param, ctx)
        try:
            value.encode()
        except UnicodeEncodeError:
            pass
        else:
            return str(value)
        try:
            return os.fsencode(value).decode()
        except UnicodeError:
            self.fail("is not UTF-8; write it as UTF-8, or take it from a file", param, ctx)


PROMPT = Prompt(may_be_empty=True)
SYSTEM_PROMPT = Prompt(may_be_empty=False)


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
