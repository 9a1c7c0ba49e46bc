"""Flags of the logit processors of a generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.fields import JsonType
from mypt.cli.options.text import TEXT, parse_json, parse_token
from mypt.cli.options.values.suggested import FILE
from mypt.model.decoding.sampling_options import SHORTHANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_OPTIONS = (
    click.option(
        "--logit_bias",
        type=TEXT,
        multiple=True,
        metavar="TOKEN=BIAS",
        help="Add this to the logit of a token, an id or its text; may be repeated.",
    ),
    click.option(
        "--banned_words",
        type=TEXT,
        multiple=True,
        help="Never write this text, also within a word; may be repeated.",
    ),
    click.option(
        "--json_schema",
        type=FILE,
        metavar="FILE|JSON",
        help='Write JSON that matches this schema. Needs pip install "mypt-lm[constraints]".',
    ),
    click.option(
        "--regex",
        type=TEXT,
        help="Write what matches this regular expression as a whole. Needs the same.",
    ),
    click.option(
        "--grammar",
        type=FILE,
        metavar="FILE",
        help="Write what follows this grammar, in llguidance's dialect of Lark. Needs the same.",
    ),
    click.option(
        "--processors",
        type=JsonType(),
        metavar="JSON",
        help="Options of further logit processors, such as those of plugins, by name.",
    ),
)


def processor_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_processors(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the flags as options of a generation; those not given are left out.

    Raises:
        UsageError: A bias is not written as TOKEN=BIAS.
        DataError: A file cannot be read.
    """
    from mypt.data.text import read_text

    read: dict[str, Callable[[Any], Any]] = {
        "logit_bias": _parse_biases,
        "banned_words": list,
        "json_schema": _read_schema,
        "grammar": read_text,
    }
    names = ("processors", *SHORTHANDS)
    return {
        name: read.get(name, lambda value: value)(given[name])
        for name in names
        if given[name] not in (None, ())
    }


def _parse_biases(given: Iterable[str]) -> dict[int | str, float]:
    biases: dict[int | str, float] = {}
    for text in given:
        token, separator, value = text.rpartition("=")
        try:
            bias = float(value)
        except ValueError:
            separator = ""
        if not (separator and token):
            message = f"--logit_bias {text} is not a token and a number; write it as TOKEN=BIAS"
            raise click.UsageError(message)
        key = parse_token(token)
        if key in biases:
            message = f"--logit_bias names the token {token} twice"
            raise click.UsageError(message)
        biases[key] = bias
    return biases


def _read_schema(given: str) -> Any:
    """Read a schema that is given as JSON or as a file with JSON."""
    from mypt.data.text import read_text
    from mypt.format.errors import DataError, Problem

    is_inline = given.lstrip().startswith("{") or given.strip() in ("true", "false")
    text = given if is_inline else read_text(given)
    try:
        return parse_json(text)
    except ValueError as error:
        where = "--json_schema" if is_inline else given
        fix = "correct it, or check it with a JSON editor"
        raise DataError(Problem(where, "", f"is not JSON: {error}", fix)) from error
