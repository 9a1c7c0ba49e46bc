"""What the server says to the one who runs it."""

from __future__ import annotations

import sys

import click

from mypt.format.errors import log_traceback


def log_failure(error: BaseException) -> None:
    """Print one line on an error that no client caused; `mypt --traceback` prints where it is."""
    log_traceback(error)
    lines = str(error).splitlines() or [""]
    click.echo(
        f"error: a request failed: {type(error).__name__}: {lines[0]}"[:500], file=sys.stderr
    )
