"""Where charts go: to the terminal, to a page, or to an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.plotting.chart import Chart
    from mypt.plotting.run import Run

_PAGES, _PICTURES = (".html", ".htm"), (".png", ".svg")
_PIPE_WIDTH, _LEAST_WIDTH = 100, 60


def chart_file(name: str, flag: str) -> Path:
    """Return the path of a chart that is to be written.

    Raises:
        UsageError: Its suffix is of neither a page nor an image.
    """
    path = Path(name)
    if path.suffix.lower() not in (*_PAGES, *_PICTURES):
        message = f"{flag} {name} is neither a page nor an image; end it in .html, .png or .svg"
        raise click.UsageError(message)
    return path


def print_chart(chart: Chart) -> None:
    """Draw a chart in the terminal."""
    from rich.console import Console

    from mypt.plotting.glyphs import ASCII, UNICODE
    from mypt.plotting.terminal import terminal_lines

    console = Console()
    width = max(console.width, _LEAST_WIDTH) if console.is_terminal else _PIPE_WIDTH
    glyphs = ASCII if console.options.ascii_only else UNICODE
    for line in terminal_lines(chart, width, glyphs):
        console.print(line, soft_wrap=True)


def write_chart(chart: Chart, runs: Sequence[Run], target: Path) -> None:
    """Write a chart to a file, and say so.

    Args:
        chart: What to draw.
        runs: What it was made of, for the tables of a page.
        target: As `chart_file` returned it.
    """
    from mypt.format.storage.atomic_file import write_atomically
    from mypt.format.storage.save_errors import raising_save_errors

    with raising_save_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix.lower() in _PAGES:
        from mypt.plotting.html_page import html_page

        write_atomically(target, html_page(chart, runs).encode())
    else:
        from mypt.plotting.image import save_image

        save_image(chart, target)
    with optional_output():
        echo(f"{target}: written")
