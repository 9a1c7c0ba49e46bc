"""Print text that a model, a file or a plugin may have chosen."""

from __future__ import annotations

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
    if stream is not None and stream.isatty():
        from mypt.format.errors import escape_controls  # what starts every command imports little

        shown = escape_controls(shown)
    click.echo(shown, nl=nl, err=err, color=True)  # else click removes sequences from a pipe
