"""Draw a chart as one HTML page that loads nothing: no network, no further scripts.

All text of a log is escaped. Should that ever fail, the page's own security policy still lets the
browser run and apply only the script and the style below, which it lists by their digests.
"""

from __future__ import annotations

import hashlib
import json
import math
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from mypt.plotting.chart import ticks
from mypt.plotting.thinning import MOST_MARKS, MOST_ROWS, thin_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypt.plotting.chart import Chart, Line, Mark, Panel, Point
    from mypt.plotting.run import LoggedEvaluation, Run

    Place = Callable[[float, float], Point]

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960, 64, 16, 26, 40  # of a panel, in units of its view box
_HEIGHTS = (400, 190)  # of the losses, of the learning rate
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #6a737d; --grid: #e1e4e8; --page: #fff;
  --gold: #b58900; --c0: #0068a8; --c1: #c94f00; --c2: #00855f; --c3: #b3508c; --c4: #a67600;
  --c5: #2c8fbd; --c6: #7440a8; --c7: #60666d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --faint: #9aa4ae; --grid: #30363d;
  --page: #0f1318; --gold: #f2cc60; --c0: #58b4f5; --c1: #ff9459; --c2: #3fcf9f; --c3: #ef9fcb;
  --c4: #f0b840; --c5: #96d7f8; --c6: #c29bf2; --c7: #b4bac1; } }
body { margin: 0 auto; padding: 1.2rem; max-width: 70rem; background: var(--page);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; font-weight: 600; margin: 1.4rem 0 0.2rem; } p { margin: 0;
  color: var(--faint); }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--faint); }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.1rem 1.3rem; margin: 0; padding: 0; }
li svg { display: inline-block; width: 26px; height: 10px; margin-right: 0.4rem; }
.grid { stroke: var(--grid); } .axis { stroke: var(--faint); } .phase { stroke: var(--faint);
  stroke-dasharray: 3 4; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.d1 { stroke-dasharray: 7 4; } .d2 { stroke-dasharray: 2 3; } .d3 { stroke-dasharray: 10 3 2 3; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); }
.s3 { stroke: var(--c3); } .s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); }
.s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); } .lone { stroke-width: 7;
  stroke-linecap: round; } .gold { fill: var(--gold); stroke: var(--page); } .blocked {
  stroke: var(--ink); stroke-width: 1.6; fill: none; } .cross { stroke: var(--faint); }
.tip { position: fixed; pointer-events: none; padding: 0.35rem 0.6rem; border-radius: 5px;
  background: var(--page); border: 1px solid var(--faint); font-size: 13px; white-space: pre; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
td, th { padding: 0.1rem 0.7rem; text-align: right; border-bottom: 1px solid var(--grid); }
details { margin-top: 1rem; overflow-x: auto; } summary { cursor: pointer; }
"""
_SCRIPT = """
"use strict";
const chart = JSON.parse(document.getElementById("chart").textContent);
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
const panels = [...document.querySelectorAll("svg.panel")];
const crosses = panels.map((svg) => svg.querySelector(".cross"));
const text = (value) => (Math.abs(value) < 0.01 ? value.toExponential(2) : value.toFixed(4));
function nearest(points, x) {
  return points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
}
function hide() {
  tip.hidden = true;
  for (const cross of crosses) cross.setAttribute("visibility", "hidden");
}
function show(event, svg, number) {
  const box = svg.getBoundingClientRect();
  const across = ((event.clientX - box.left) / box.width) * chart.width - chart.left;
  const share = across / (chart.width - chart.left - chart.right);
  if (share < -0.02 || share > 1.02) return hide();
  const [low, high] = chart.x;
  const lines = chart.panels[number].filter((line) => line.points.length);
  if (!lines.length) return hide();
  const x = nearest(lines.flatMap((line) => line.points), low + share * (high - low))[0];
  const at = chart.left + ((x - low) / (high - low)) * (chart.width - chart.left - chart.right);
  for (const cross of crosses) {
    cross.setAttribute("x1", at);
    cross.setAttribute("x2", at);
    cross.setAttribute("visibility", "visible");
  }
  const rows = lines.map((line) => [line.label, nearest(line.points, x)]);
  const near = rows.filter((row) => Math.abs(row[1][0] - x) <= (high - low) / 100);
  const said = near.map(([label, point]) => label + "  " + text(point[1]));
  tip.textContent = [chart.xLabel + "  " + x.toLocaleString("en"), ...said].join("\\n");
  tip.hidden = false;
  const left = Math.min(event.clientX + 16, window.innerWidth - tip.offsetWidth - 8);
  tip.style.left = Math.max(left, 4) + "px";
  tip.style.top = event.clientY + 16 + "px";
}
panels.forEach((svg, number) => {
  svg.addEventListener("pointermove", (event) => show(event, svg, number));
  svg.addEventListener("pointerleave", hide);
});
"""


def html_page(chart: Chart, runs: Sequence[Run]) -> str:
    """Return the page: the panels, and below them the numbers as tables.

    Args:
        chart: What to draw.
        runs: What it was made of.
    """
    policy = (
        f"default-src 'none'; style-src '{_hash(_STYLE)}'; script-src '{_hash(_SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    panels = (_build_section(chart, panel, number) for number, panel in enumerate(chart.panels))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(chart.title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(chart.title)}</h1>",
            *panels,
            *(_build_table(run) for run in runs),
            f'<script type="application/json" id="chart">{_build_script_data(chart)}</script>',
            f"<script>{_SCRIPT}</script>",
            "</body></html>\n",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _build_script_data(chart: Chart) -> str:
    """Return the numbers for the script; "<" is escaped, so that no text can end its element."""
    data = {
        "x": chart.x_range,
        "xLabel": chart.x_label.removesuffix("s"),
        "width": WIDTH,
        "left": LEFT,
        "right": RIGHT,
        "panels": [
            [
                {"label": line.label, "points": [p for p in line.points if math.isfinite(p[1])]}
                for line in panel.lines
            ]
            for panel in chart.panels
        ],
    }
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _build_section(chart: Chart, panel: Panel, number: int) -> str:
    legend = "".join(_legend(line, panel) for line in panel.lines) + _mark_legend(panel)
    note = f"<p>{escape(panel.note)}</p>" if panel.note else ""
    return f"<h2>{escape(panel.title)}</h2>{note}<ul>{legend}</ul>\n{draw_panel(chart, number)}"


def draw_panel(chart: Chart, number: int) -> str:
    """Return a panel as an SVG, whose classes the style of a page gives colours.

    Args:
        chart: What to draw.
        number: Number of the panel.
    """
    panel, height = chart.panels[number], _HEIGHTS[min(number, 1)]
    place = _make_placing(chart, panel, height)
    parts = [
        *_draw_axes(chart, panel, place, height),
        *_draw_phases(chart, place, height, with_names=number == 0),
        *_draw_curves(panel, place, height, number),
        *(_draw_mark(mark, place) for mark in panel.marks),
        f'<line class="cross" y1="{TOP}" y2="{height - BOTTOM}" visibility="hidden"/>',
    ]
    label = escape(f"{panel.title} by {chart.x_label}: {chart.title}", quote=True)
    return "\n".join(
        [
            f'<svg class="panel" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">',
            *parts,
            "</svg>",
        ]
    )


def _make_placing(chart: Chart, panel: Panel, height: int) -> Place:
    (left, right), (low, high) = chart.x_range, panel.y_range

    def place(x: float, y: float) -> Point:
        across = (x - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        down = (high - y) / (high - low) * (height - TOP - BOTTOM)
        return LEFT + across, TOP + down

    return place


def _draw_axes(chart: Chart, panel: Panel, place: Place, height: int) -> Iterator[str]:
    floor = height - BOTTOM
    for y in ticks(panel.y_range, height // 70):
        down = place(chart.x_range[0], y)[1]
        yield _draw_straight("grid", LEFT, down, WIDTH - RIGHT, down)
        yield _draw_text(LEFT - 8, down + 4, "end", panel.format_y(y))
    for x in ticks(chart.x_range, 8):
        across = place(x, panel.y_range[0])[0]
        yield _draw_straight("axis", across, floor, across, floor + 5)
        yield _draw_text(across, floor + 19, "middle", chart.format_x(x))
    yield _draw_straight("axis", LEFT, floor, WIDTH - RIGHT, floor)
    yield _draw_text((LEFT + WIDTH - RIGHT) / 2, floor + 36, "middle", chart.x_label)


def _draw_phases(chart: Chart, place: Place, height: int, *, with_names: bool) -> Iterator[str]:
    for boundary in chart.boundaries:
        across = place(boundary.x, 0)[0]
        if boundary.x > chart.x_range[0]:
            yield _draw_straight("phase", across, TOP, across, height - BOTTOM)
        if with_names:
            yield _draw_text(across + 4, TOP - 8, "start", boundary.name)


def _draw_curves(panel: Panel, place: Place, height: int, number: int) -> Iterator[str]:
    curves = [_draw_curve(line, place) for line in reversed(panel.lines)]
    if not panel.note:
        yield from curves
        return
    width, tall = WIDTH - LEFT - RIGHT, height - TOP - BOTTOM
    rectangle = f'<rect x="{LEFT}" y="{TOP}" width="{width}" height="{tall}"/>'
    yield f'<clipPath id="inside{number}">{rectangle}</clipPath>'
    yield f'<g clip-path="url(#inside{number})">'
    yield from curves
    yield "</g>"


def _draw_curve(line: Line, place: Place) -> str:
    """Draw a line with its gaps; a point between two gaps is a dot."""
    path, pen_is_down = [], False
    for x, y in line.points:
        if math.isfinite(y):
            across, down = place(x, y)
            path.append(f"{'L' if pen_is_down else 'M'}{across:.1f} {down:.1f}")
        pen_is_down = math.isfinite(y)
    finite = sum(math.isfinite(y) for _, y in line.points)
    lone = "lone" if finite == 1 else f"d{line.dash % 4}"
    return f'<path class="line s{line.colour} {lone}" d="{" ".join(path)}{"h0" * (finite == 1)}"/>'


def _draw_mark(mark: Mark, place: Place) -> str:
    across, down = place(mark.x, mark.y)
    return f"<g><title>{escape(mark.text)}</title>{_draw_symbol(across, down, gold=mark.gold)}</g>"


def _draw_symbol(across: float, down: float, *, gold: bool) -> str:
    start = f"M{across:.1f} {down:.1f}"
    if gold:
        return f'<path class="gold" d="{start}m0-7l7 7l-7 7l-7-7z"/>'
    return f'<path class="blocked" d="{start}m-5-5l10 10m0-10l-10 10"/>'


def _legend(line: Line, panel: Panel) -> str:
    swatch = f'<path class="line s{line.colour} d{line.dash % 4}" d="M0 5h26"/>'
    last = panel.format_y(line.last)
    return f'<li><svg viewBox="0 0 26 10">{swatch}</svg>{escape(line.label)} {escape(last)}</li>'


def _mark_legend(panel: Panel) -> str:
    kinds = sorted({mark.gold for mark in panel.marks}, reverse=True)
    return "".join(
        f'<li><svg viewBox="0 0 26 10">{_draw_symbol(13, 5, gold=gold)}</svg>'
        f"{'gold' if gold else 'gold blocked'}</li>"
        for gold in kinds
    )


def _build_table(run: Run) -> str:
    names, shown = run.loss_names, thin_items(run.evaluations, MOST_ROWS)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("step", "tokens", "lr", *names))
    rows = (
        [
            f"{e.step:,}",
            "" if e.tokens is None else f"{e.tokens:,}",
            "" if e.lr is None else f"{e.lr:.3e}",
            *(_format_loss(e.losses, name) for name in names),
        ]
        for e in shown
    )
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    marks = "".join(f"<li>{escape(text)}</li>" for text in _gold_texts(run))
    return (
        f"<details><summary>Numbers of {escape(run.name)}{_count_shown(shown, run)}</summary>"
        f"<table><tr>{head}</tr>{body}</table><ul>{marks}</ul></details>"
    )


def _count_shown(shown: Sequence[LoggedEvaluation], run: Run) -> str:
    """Return how many evaluations are listed, where the log has more; "" where all are."""
    every = len(run.evaluations)
    return "" if len(shown) == every else f": {len(shown):,} of {every:,} evaluations"


def _format_loss(losses: object, name: str) -> str:
    value = losses.get(name) if isinstance(losses, dict) else None
    if value is None:
        return ""
    return f"{value:.4f}" if math.isfinite(value) else "not finite"


def _gold_texts(run: Run) -> Iterable[str]:
    for mark in thin_items(run.gold, MOST_MARKS):
        yield f"step {mark.step}: " + ("gold" if mark.promoted else f"gold blocked: {mark.reason}")


def _draw_straight(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _draw_text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
