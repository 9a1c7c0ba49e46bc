"""Print text that a model, a file or a plugin may have chosen."""

from __future__ import annotations

import json
import sys

import click


def echo(text: object = "", *, nl: bool = True, err: bool = False) -> None:
    """Print text, in which a terminal finds nothing that would control it.

    A file or a pipe gets the text as it is. All commands print by this function.

    Args:
        text: What to print.
        nl: Whether a line break follows.
        err: Whether it goes to standard error.
    """
    stream, shown = sys.stderr if err else sys.stdout, str(text)
    if stream is None:
        return
    if stream.isatty():
        from mypt.format.errors import escape_controls  # what starts every command imports little

        shown = escape_controls(shown)
    # Of a stream that it is not given, click replaces an ASCII one; without color=True it removes
    # sequences from a pipe.
    click.echo(shown, file=stream, nl=nl, color=True)


def echo_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON, with escapes where standard output cannot hold its characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent)
    echo(text)
