"""`mypt plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.text import TEXT
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from mypt.plotting.chart import Chart
    from mypt.plotting.run import Run

_PAGES, _PICTURES = (".html", ".htm"), (".png", ".svg")
_PIPE_WIDTH, _LEAST_WIDTH = 100, 60


@click.command("plot", cls=Command)
@click.argument("logs", type=TEXT, nargs=-1, required=True, metavar="LOG_OR_MODEL...")
@click.option("--output", type=TEXT, help="File to write: a page (.html) or an image (.png, .svg).")
@click.option(
    "--x",
    "axis",
    type=click.Choice(["steps", "tokens"]),
    default="steps",
    show_default=True,
    help="Unit of the horizontal axis.",
)
@reader_options()
@name_flags()
def command(
    logs: tuple[str, ...],
    output: str | None,
    axis: Literal["steps", "tokens"],
    options: tuple[str, ...],
) -> None:
    """Plot the losses, learning rate, gold marks and phases of one or more runs.

    Without --output, the plot is drawn in the terminal. A page is one self-contained file; an
    image needs matplotlib: pip install "mypt-lm[plot]".
    """
    from mypt.plotting.chart import chart_of
    from mypt.plotting.find_log import read_runs

    target = None if output is None else Path(output)
    if target is not None and target.suffix.lower() not in (*_PAGES, *_PICTURES):
        message = f"--output {output} is neither a page nor an image; end it in .html, .png or .svg"
        raise click.UsageError(message)
    runs = read_runs(logs, open_plugins(), parse_options(options))
    chart = chart_of(runs, axis)
    if target is None:
        _print_chart(chart)
        return
    _write_chart(chart, runs, target)
    with optional_output():
        echo(f"{target}: written")


def _print_chart(chart: Chart) -> None:
    from rich.console import Console

    from mypt.plotting.glyphs import ASCII, UNICODE
    from mypt.plotting.terminal import terminal_lines

    console = Console()
    width = max(console.width, _LEAST_WIDTH) if console.is_terminal else _PIPE_WIDTH
    glyphs = ASCII if console.options.ascii_only else UNICODE
    for line in terminal_lines(chart, width, glyphs):
        console.print(line, soft_wrap=True)


def _write_chart(chart: Chart, runs: list[Run], target: Path) -> None:
    from mypt.format.storage.atomic_file import write_atomically
    from mypt.format.storage.save_errors import raising_save_errors

    with raising_save_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix.lower() in _PAGES:
        from mypt.plotting.html_page import html_page

        write_atomically(target, html_page(chart, runs).encode())
        return
    from mypt.plotting.image import save_image

    save_image(chart, target)
