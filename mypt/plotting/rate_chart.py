"""The chart of a learning-rate search: losses by the logarithm of the rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mypt.plotting.chart import Boundary, Chart, Line, Panel

if TYPE_CHECKING:
    from mypt.engine.training.lr_finder import RateSearch

_ROOM = 0.04


def chart_search(search: RateSearch, name: str) -> Chart:
    """Build the chart of a search of at least two updates.

    What is higher than the loss lay at first, by more than half of what it fell, is cut off.

    Args:
        search: The search.
        name: The model.
    """
    points = [(math.log10(r), loss) for r, loss in zip(search.rates, search.losses, strict=True)]
    first, low = search.losses[0], min(search.losses)
    high = min(max(search.losses), first + (first - low) / 2 or max(search.losses))
    room = _ROOM * (high - low) or 0.5
    cut = max(search.losses) > high
    suggested = search.suggestion
    marks = () if suggested is None else ((suggested, f"suggested {suggested:.1e}"),)
    panel = Panel(
        title="loss (nats per token)",
        lines=(Line(label="train", colour=0, dash=0, points=tuple(points)),),
        marks=(),
        y_range=(low - room, high + room),
        format_y=lambda loss: f"{loss:.4g}",
        note="what is above is cut off" if cut else "",
    )
    return Chart(
        title=f"{name}: learning rates",
        x_label="learning rate",
        x_range=(points[0][0], points[-1][0]),
        panels=(panel,),
        boundaries=tuple(Boundary(x=math.log10(rate), name=said) for rate, said in marks),
        format_x=lambda x: f"1e{x:.0f}" if x == round(x) else "",
    )
