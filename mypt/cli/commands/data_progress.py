"""How far a preparation of `mypt data` is."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mypt.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS_BETWEEN_LINES = 10


@contextmanager
def show_progress(noun: str | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show the progress: a bar on a terminal, a line now and then in a pipe.

    Args:
        noun: What is counted; None for bytes.
    """
    if sys.stderr.isatty():
        with _show_bar(noun) as report:
            yield report
    else:
        yield _make_line_printer(noun)


@contextmanager
def _show_bar(noun: str | None) -> Iterator[Callable[[int, int], None]]:
    from rich import progress
    from rich.console import Console

    in_bytes = progress.DownloadColumn(), progress.TransferSpeedColumn()
    in_things = progress.MofNCompleteColumn(), progress.TextColumn(noun or "")
    counted = in_things if noun else in_bytes
    columns = progress.BarColumn(), *counted, progress.TimeRemainingColumn()
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _make_line_printer(noun: str | None) -> Callable[[int, int], None]:
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            share = f"{100 * done / total:.0f} %"
            if noun is None:
                echo(f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {share}", err=True)
            else:
                echo(f"{done:,} of {total:,} {noun}, {share}", err=True)

    return report
