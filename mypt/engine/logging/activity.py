"""Show what a run is busy with before its first event: loading, reading, tokenizing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


@contextmanager
def show_activity(
    text: str, *, quiet: bool = False, console: Console | None = None
) -> Iterator[None]:
    """Show a moving line on a terminal until the work is done; in a pipe, nothing.

    Args:
        text: What is being done, such as `Reading the data`.
        quiet: Show nothing.
        console: Where to; by default standard output.
    """
    from rich.console import Console

    console = Console() if console is None else console
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(text, spinner="line"):
        yield


def tell_pipe(text: str, *, quiet: bool = False, console: Console | None = None) -> None:
    """Print a line, but on a terminal nothing, where something moves already."""
    from rich.console import Console

    console = Console() if console is None else console
    if not quiet and not console.is_terminal:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
