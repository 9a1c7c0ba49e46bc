"""Draw a chart as a PNG or SVG file, through matplotlib, which is an extra."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem, UsageError
from mypt.format.storage.atomic_file import write_atomically
from mypt.format.version import DISTRIBUTION
from mypt.plotting.chart import ticks

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.plotting.chart import Chart, Panel

COLOURS = (
    "#0068a8",
    "#c94f00",
    "#00855f",
    "#b3508c",
    "#a67600",
    "#2c8fbd",
    "#7440a8",
    "#60666d",
)
GOLD, INK, FAINT, GRID = "#d9a400", "#1b1f24", "#6a737d", "#e1e4e8"
_DASHES = ("-", "--", ":", "-.")
_WIDTH, _HEIGHTS = 10.0, (5.0, 2.0)  # inches; of the losses, of each other panel
_DPI = 150
_NAME_SIZE, _NAME_HEIGHT = 9, 12  # points; of the names of phases


def save_image(chart: Chart, path: Path) -> None:
    """Write the picture; the suffix of the path decides the format.

    Raises:
        UsageError: matplotlib is not installed.
        SaveError: The file could not be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        what = "pictures need matplotlib, which is not installed"
        fix = f'run: pip install "{DISTRIBUTION}[plot]", or write a page (.html)'
        raise UsageError(Problem("", "--output", what, fix, kind="plot")) from error
    heights = [_HEIGHTS[min(number, 1)] for number in range(len(chart.panels))]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.5), dpi=_DPI, layout="constrained")
    rows = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for panel, axes in zip(chart.panels, rows[:, 0], strict=True):
        _draw_panel(chart, panel, axes)
    rows[-1, 0].set_xlabel(chart.x_label, color=FAINT)
    figure.suptitle(_escape_math(chart.title), color=INK, fontsize=12)
    _name_phases(chart, rows[0, 0])
    kind, data = path.suffix.lower().removeprefix("."), io.BytesIO()
    with warnings.catch_warnings():  # a name in letters that the font lacks shows boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(data, format=kind, metadata={"Date": None} if kind == "svg" else None)
    write_atomically(path, data.getvalue())


def _draw_panel(chart: Chart, panel: Panel, axes: Any) -> None:
    lines = [
        axes.plot(
            [x for x, _ in line.points],
            [y for _, y in line.points],
            color=COLOURS[line.colour],
            linestyle=_DASHES[line.dash % len(_DASHES)],
            linewidth=1.6,
            marker="o" if len(line.points) == 1 else None,
            clip_on=len(line.points) > 1,
            zorder=3,
        )[0]
        for line in reversed(panel.lines)
    ]
    labels = [f"{line.label} {panel.format_y(line.last)}" for line in reversed(panel.lines)]
    for boundary in chart.boundaries:
        if boundary.x > chart.x_range[0]:
            axes.axvline(boundary.x, color=FAINT, linestyle=(0, (3, 4)), linewidth=1)
    for gold, looks in ((True, {"marker": "D", "color": GOLD}), (False, {"marker": "x"})):
        marks = [mark for mark in panel.marks if mark.gold == gold]
        if marks:
            form: dict[str, Any] = {"color": INK, "s": 36, "zorder": 4, "clip_on": False, **looks}
            lines.insert(0, axes.scatter([m.x for m in marks], [m.y for m in marks], **form))
            labels.insert(0, "gold" if gold else "gold blocked")
    axes.legend(
        lines[::-1], [_escape_math(label) for label in labels[::-1]], fontsize=8, loc="best"
    )
    axes.set_ylabel(panel.title, color=FAINT)
    axes.set_ylim(panel.y_range)
    if panel.note:
        _write_note(panel.note, axes, above_names=bool(chart.boundaries))
    axes.set_xlim(chart.x_range)
    _set_ticks(axes.yaxis, ticks(panel.y_range, 6), panel.format_y)
    _set_ticks(axes.xaxis, ticks(chart.x_range, 8), chart.format_x)
    axes.grid(visible=True, axis="y", color=GRID)
    axes.spines[["top", "right"]].set_visible(False)


def _write_note(note: str, axes: Any, *, above_names: bool) -> None:
    """Write a note over the axes, where no curve goes; above the names of phases, if any."""
    axes.annotate(
        _escape_math(note),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3 + above_names * _NAME_HEIGHT),
        textcoords="offset points",
        fontsize=8,
        color=FAINT,
    )


def _set_ticks(axis: Any, places: list[float], write: Any) -> None:
    axis.set_ticks(places, labels=[write(place) for place in places])
    axis.set_tick_params(labelsize=9, labelcolor=FAINT)


def _name_phases(chart: Chart, axes: Any) -> None:
    for boundary in chart.boundaries:
        axes.annotate(
            _escape_math(boundary.name),
            (boundary.x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=_NAME_SIZE,
            color=FAINT,
        )


def _escape_math(text: str) -> str:
    """Escape dollar signs, which matplotlib would read as the delimiters of a formula."""
    return text.replace("$", r"\$")
