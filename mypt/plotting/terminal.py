"""Draw a chart as lines of text, for terminals and pipes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mypt.plotting.braille import DOTS_X, DOTS_Y, Canvas
from mypt.plotting.chart import ticks
from mypt.plotting.glyphs import UNICODE, Glyphs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mypt.plotting.chart import Chart, Line, Panel, Point

    Place = Callable[[float, float], tuple[int, int]]

STYLES = (
    "bright_blue",
    "bright_red",
    "bright_green",
    "bright_magenta",
    "yellow",
    "cyan",
    "magenta",
    "bright_black",
)
_FAINT = "bright_black"
_ROWS = (16, 6)  # of the losses, of each other panel
_LEFT = 9  # numbers of y
_MAX_LEGEND = 26


def terminal_lines(chart: Chart, width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """Draw a chart.

    Args:
        chart: What to draw.
        width: Characters of a line; at least 60.
        glyphs: What the terminal can show.
    """
    right = 2 + max(
        cell_len(_format_legend(line, panel, glyphs))
        for panel in chart.panels
        for line in panel.lines
    )
    columns = max(width - _LEFT - 1 - right, 10)
    lines = []
    for number, panel in enumerate(chart.panels):
        rows = max(_ROWS[min(number, 1)], len(panel.lines))
        lines += _render_panel(chart, panel, Canvas(columns, rows, glyphs.lines), glyphs)
    lines += [_render_x_axis(chart, columns, glyphs)]
    if any(panel.marks for panel in chart.panels):
        lines += ["", f"{' ' * _LEFT} {glyphs.gold} gold   {glyphs.blocked} gold blocked"]
    return [line if isinstance(line, Text) else Text(line) for line in lines]


def _render_panel(chart: Chart, panel: Panel, canvas: Canvas, glyphs: Glyphs) -> list[Text | str]:
    rows, place = canvas.rows, _make_placing(chart, panel, canvas)
    for line in reversed(panel.lines):  # the first one on top
        _draw_line(canvas, line, _cut_off(line.points, panel.y_range[1]), place)
    for mark in panel.marks:
        canvas.letter(*place(mark.x, mark.y), glyphs.gold if mark.gold else glyphs.blocked, None)
    _draw_phases(chart, panel, canvas, glyphs)
    numbers = {
        place(0, y)[1] // DOTS_Y: panel.format_y(y) for y in ticks(panel.y_range, max(rows // 4, 2))
    }
    legend = _legend_rows(panel, place, rows, glyphs)
    body = [
        Text.assemble(
            (f"{numbers.get(row, ''):>{_LEFT}}", _FAINT),
            (glyphs.axis[row in numbers], _FAINT),
            *_style_cells(canvas, row, glyphs),
            legend.get(row, Text("")),
        )
        for row in range(rows)
    ]
    is_first = panel is chart.panels[0]
    names = _phase_names(chart, place, canvas.columns) if panel.marks or is_first else ""
    margin = " " * (_LEFT + 1)
    above = [f"{margin}{panel.note}"] if panel.note else []
    return ["", f"{margin}{panel.title}", *above, *([names] if names else []), *body]


def _draw_phases(chart: Chart, panel: Panel, canvas: Canvas, glyphs: Glyphs) -> None:
    place = _make_placing(chart, panel, canvas)
    for boundary in chart.boundaries:
        column = place(boundary.x, panel.y_range[0])[0] // DOTS_X
        for row in range(canvas.rows):
            if column and canvas.is_empty(column, row):  # the first phase begins at the axis
                canvas.letter(column * DOTS_X, row * DOTS_Y, glyphs.phase, None)


def _make_placing(chart: Chart, panel: Panel, canvas: Canvas) -> Place:
    (left, right), (low, high) = chart.x_range, panel.y_range

    def place(x: float, y: float) -> tuple[int, int]:
        across = (x - left) / (right - left) * (canvas.width - 1)
        down = (high - y) / (high - low) * (canvas.height - 1)
        return (
            min(max(round(across), 0), canvas.width - 1),
            min(max(round(down), 0), canvas.height - 1),
        )

    return place


def _cut_off(points: Iterable[Point], top: float) -> Iterator[Point]:
    """Yield the points of a curve, of which a gap replaces what is higher than the panel."""
    before = (math.nan, math.nan)
    for x, y in points:
        if math.isfinite(before[1]) and math.isfinite(y) and (before[1] > top) != (y > top):
            share = (top - before[1]) / (y - before[1])
            yield before[0] + share * (x - before[0]), top
        yield x, math.nan if y > top else y
        before = (x, y)


def _draw_line(canvas: Canvas, line: Line, points: Iterable[Point], place: Place) -> None:
    before: tuple[int, int] | None = None
    for x, y in points:
        here = place(x, y) if math.isfinite(y) else None
        if here is not None:
            canvas.line(here if before is None else before, here, line.colour, line.dash)
        before = here


def _style_cells(canvas: Canvas, row: int, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    for char, colour in canvas.row(row):
        if char == " ":
            yield (char, "")
            continue
        marks = {glyphs.gold: "bold yellow", glyphs.blocked: "bold red"}
        yield (char, marks.get(char, _FAINT) if colour is None else STYLES[colour])


def _legend_rows(panel: Panel, place: Place, rows: int, glyphs: Glyphs) -> dict[int, Text]:
    """Write each line's name where it ends, or as near to it as the other names permit."""
    above = panel.y_range[1]  # where a loss that is not finite went
    ends = {
        line: place(0, line.last if math.isfinite(line.last) else above)[1] // DOTS_Y
        for line in panel.lines
    }
    placed: dict[int, Text] = {}
    row = -1
    for number, line in enumerate(sorted(panel.lines, key=lambda line: ends[line])):
        still_to_come = len(panel.lines) - number
        row = min(max(row + 1, ends[line]), rows - still_to_come)
        placed[row] = Text(f"  {_format_legend(line, panel, glyphs)}", style=STYLES[line.colour])
    return placed


def _format_legend(line: Line, panel: Panel, glyphs: Glyphs) -> str:
    """Return name and last value; a long name keeps its end, which names the loss."""
    name = rest = line.label
    while cell_len(name) > _MAX_LEGEND:
        rest = rest[1:]
        name = f"{glyphs.left_out}{rest}"
    return f"{glyphs.legend(line.colour)}{name} {panel.format_y(line.last)}"


def _phase_names(chart: Chart, place: Place, columns: int) -> str:
    """Write the phases' names above where they begin, where there is room."""
    starts = [place(boundary.x, 0)[0] // DOTS_X for boundary in chart.boundaries]
    shown = ""
    for start, boundary in zip(starts, chart.boundaries, strict=True):
        end = min((other for other in starts if other > start), default=columns)
        if start >= cell_len(shown) and end - start > 1:
            name = boundary.name
            room = end - start - 1
            fits = name if cell_len(name) <= room else set_cell_size(name, room)
            shown += " " * (start - cell_len(shown)) + fits
    return f"{' ' * (_LEFT + 1)}{shown}" if shown else ""


def _render_x_axis(chart: Chart, columns: int, glyphs: Glyphs) -> Text:
    left, right = chart.x_range
    corner, straight, numbered = glyphs.ruler
    ruler, numbers = [straight] * columns, ""
    for x in ticks(chart.x_range, max(columns // 14, 2)):
        text = chart.format_x(x)
        column = round((x - left) / (right - left) * (columns - 1))
        start = max(column - len(text) // 2, 0)
        if text and (start > len(numbers) or not numbers):
            numbers += " " * (start - len(numbers)) + text
            ruler[column] = numbered
    margin = " " * (_LEFT + 1)
    return Text(
        f"{' ' * _LEFT}{corner}{''.join(ruler)}\n{margin}{numbers}\n"
        f"{margin}{chart.x_label:^{columns}}".rstrip(),
        style=_FAINT,
    )
