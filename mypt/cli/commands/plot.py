"""`mypt plot`."""

from __future__ import annotations

from typing import Literal

import click

from mypt.cli.chart_output import chart_file, print_chart, write_chart
from mypt.cli.options.command import Command
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.values.suggested import FILE, MODEL


@click.command("plot", cls=Command)
@click.argument("logs", type=MODEL, nargs=-1, required=True, metavar="LOG_OR_MODEL...")
@click.option("--output", type=FILE, help="File to write: a page (.html) or an image (.png, .svg).")
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

    Where a log has the figures of updates (--log_interval), also their losses, gradient norms and
    tokens per second.

    Without --output, the plot is drawn in the terminal. A page is one self-contained file; an
    image needs matplotlib: pip install "mypt-lm[plot]".
    """
    from mypt.plotting.chart import chart_of
    from mypt.plotting.find_log import read_runs

    target = None if output is None else chart_file(output, "--output")
    runs = read_runs(logs, open_plugins(), parse_options(options))
    chart = chart_of(runs, axis)
    if target is None:
        print_chart(chart)
    else:
        write_chart(chart, runs, target)
