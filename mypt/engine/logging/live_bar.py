"""The moving lines of a run on a terminal: a bar, and below it the figures of the last update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType


class LiveBar(Progress):
    """A bar that leaves nothing behind.

    Attributes:
        figures: The line below it; one that is wider than the terminal is cut.
    """

    def __init__(self, console: Console) -> None:
        """Prepare a bar on a console."""
        self.figures = ""
        super().__init__(
            SpinnerColumn("line"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the lines."""
        yield from super().get_renderables()
        if self.figures:
            yield Text(f"  {self.figures}", no_wrap=True, overflow="ellipsis")
