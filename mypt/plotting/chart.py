"""The content of a chart for every renderer: lines, marks, ticks and ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from mypt.engine.humanize import short_count
from mypt.format.errors import Problem, UsageError
from mypt.plotting.lr_curve import list_unknown, lr_curve
from mypt.plotting.run import printable, sort_loss_names
from mypt.plotting.thinning import MOST_MARKS, thin_items, thin_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypt.plotting.run import Run

Axis = Literal["steps", "tokens"]
Point = tuple[float, float]
Range = tuple[float, float]
COLOURS = 8  # of every renderer; further lines start again with the first


@frozen(kw_only=True)
class Line:
    """One curve.

    Attributes:
        label: Its name in the legend.
        colour: Number of its colour, 0 ... COLOURS - 1.
        dash: Number of its pattern; 0 is solid.
        points: By rising x; y is NaN where a gap is.
    """

    label: str
    colour: int
    dash: int
    points: tuple[Point, ...]

    @property
    def last(self) -> float:
        """The last y; NaN where the run ended in a gap."""
        return self.points[-1][1] if self.points else math.nan


@frozen(kw_only=True)
class Mark:
    """A model that became gold, or was kept from it.

    Attributes:
        x: Where it is.
        y: Its validation loss.
        colour: Number of its run's colour.
        gold: Whether it became gold.
        text: Its description.
    """

    x: float
    y: float
    colour: int
    gold: bool
    text: str


@frozen(kw_only=True)
class Boundary:
    """The start of a curriculum's phase: its x and its name."""

    x: float
    name: str


@frozen(kw_only=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: What y is.
        lines: The curves.
        marks: Gold marks; empty in panels without losses.
        y_range: What y shows.
        note: What lies above it, in words; empty if nothing does.
        format_y: Writes a value of y.
    """

    title: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    y_range: Range
    format_y: Callable[[float], str]
    note: str = ""


@frozen(kw_only=True)
class Chart:
    """Panels, one below the other, on a common x.

    Attributes:
        title: The names of the runs.
        x_label: What x is.
        x_range: What x shows.
        panels: From top to bottom; the losses, then the learning rate, the norm of the gradient and
            the tokens per second, each if any log records it.
        boundaries: Where phases begin.
        format_x: Writes a value of x.
    """

    title: str
    x_label: str
    x_range: Range
    panels: tuple[Panel, ...]
    boundaries: tuple[Boundary, ...]
    format_x: Callable[[float], str]


def chart_of(runs: Sequence[Run], axis: Axis = "steps") -> Chart:
    """Build the chart of one or more runs.

    Args:
        runs: At least one. A single run has a colour for each loss; of several, each run has one.
        axis: What x counts.

    Raises:
        UsageError: x counts tokens, but a log does not.
    """
    if axis == "tokens":
        _require_tokens(runs)
    losses = [
        line for number, run in enumerate(runs) for line in _loss_lines(run, number, runs, axis)
    ]
    losses += _update_lines(runs, axis, "loss")
    rates = [_rate_line(run, number, runs, axis) for number, run in enumerate(runs)]
    rates = [line for line in rates if line.points]
    marks = [
        mark for number, run in enumerate(runs) for mark in _gold_marks(run, number, runs, axis)
    ]
    panels = [_build_loss_panel(losses, marks, axis)]
    if rates:
        panel = _build_panel("learning rate", rates, [], _format_rate)
        panels.append(evolve(panel, note=_describe_unknown(runs)))
    for name, (title, format_y) in _OF_UPDATES.items():
        lines = _update_lines(runs, axis, name)
        if lines:
            panels.append(_build_panel(title, lines, [], format_y))
    xs = [_x(run, step, axis) for run in runs for step in run.steps]
    low, high = min(xs), max(xs)
    return Chart(
        title=", ".join(run.name for run in runs),
        x_label=axis,
        x_range=(low, high) if high > low else (low - 0.5, high + 0.5),
        panels=tuple(panels),
        boundaries=tuple(_boundaries(runs, axis)),
        format_x=short_count if axis == "tokens" else _format_step,
    )


def ticks(shown: Range, about: int) -> list[float]:
    """Return round numbers within a range, approximately `about` of them."""
    low, high = shown
    step = _round_step((high - low) / max(about, 1))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (10, 5, 2, 1) if size * factor <= rough * 1.5)


def _loss_lines(run: Run, number: int, runs: Sequence[Run], axis: Axis) -> Iterable[Line]:
    several = len(runs) > 1
    names = sort_loss_names(name for other in runs for name in other.loss_names)
    for name in run.loss_names:
        place = names.index(name)  # the same for all runs
        yield Line(
            label=f"{run.name} {name}" if several else name,
            colour=(number if several else place) % COLOURS,
            dash=place if several else place // COLOURS,
            points=thin_points(
                [
                    (_x(run, e.step, axis), e.losses[name])
                    for e in run.evaluations
                    if name in e.losses
                ]
            ),
        )


def _update_lines(runs: Sequence[Run], axis: Axis, name: str) -> list[Line]:
    """Return the curve of a figure of single updates, of each run that has logged it.

    The losses of single updates are drawn below those of evaluations, with a pattern of their own.
    """
    names = sort_loss_names(name for run in runs for name in run.loss_names)
    is_loss, several = name == "loss", len(runs) > 1
    found = []
    for number, run in enumerate(runs):
        points = [(_x(run, u.step, axis), getattr(u, name)) for u in run.updates]
        if any(math.isfinite(y) for _, y in points):
            label = "each step" if is_loss else _OF_UPDATES[name][0]
            named = f"{run.name} {label}" if is_loss else run.name
            line = Line(
                label=named if several else label,
                colour=(number if several or not is_loss else len(names)) % COLOURS,
                dash=len(names) if is_loss and several else 0,
                points=thin_points(points),
            )
            found.append(line)
    return found


def _rate_line(run: Run, number: int, runs: Sequence[Run], axis: Axis) -> Line:
    return Line(
        label=run.name if len(runs) > 1 else "learning rate",
        colour=number % COLOURS,
        dash=0,
        points=thin_points([(_x(run, step, axis), lr) for step, lr in lr_curve(run)]),
    )


def _describe_unknown(runs: Sequence[Run]) -> str:
    """Return which schedules could not be drawn; "" if all could."""
    unknown = dict.fromkeys(name for run in runs for name in list_unknown(run))
    if not unknown:
        return ""
    names = ", ".join(printable(name) for name in unknown)
    return f"no installed plugin offers {names}: what was logged is joined"


def _gold_marks(run: Run, number: int, runs: Sequence[Run], axis: Axis) -> Iterable[Mark]:
    prefix = f"{run.name}: " if len(runs) > 1 else ""
    for kind in (True, False):
        marks = [m for m in run.gold if m.promoted == kind and math.isfinite(m.val_loss)]
        for mark in thin_items(marks, MOST_MARKS):
            label = "gold" if mark.promoted else "gold blocked"
            why = "" if mark.promoted else f": {mark.reason}"
            yield Mark(
                x=_x(run, mark.step, axis),
                y=mark.val_loss,
                colour=number % COLOURS,
                gold=mark.promoted,
                text=f"{prefix}{label} at step {mark.step}, val {mark.val_loss:.4f}{why}",
            )


def _boundaries(runs: Sequence[Run], axis: Axis) -> Iterable[Boundary]:
    """Yield each start of a phase, once where runs share it, else with the run's name."""
    shared = all(run.phases == runs[0].phases for run in runs)
    for run in runs[:1] if shared else runs:
        for phase in run.phases:
            name = phase.name if shared else f"{run.name}: {phase.name}"
            yield Boundary(x=_x(run, phase.step, axis), name=name)


def _build_loss_panel(lines: list[Line], marks: list[Mark], axis: Axis) -> Panel:
    """Build the panel of the losses, in which an untrained model does not set the scale.

    The first losses of the runs lie above it, and are said in words, where the rest would have less
    than half of the height.
    """
    rest = [evolve(line, points=line.points[1:]) for line in lines]
    whole = _build_panel("loss (nats per token)", lines, marks, _format_loss)
    (low, high), ys = whole.y_range, _finite_ys(rest)
    if len(ys) < 3 * len(lines) or max(ys) - min(ys) > (high - low) / 2 or max(ys) == min(ys):
        return whole
    shown = _build_panel(whole.title, rest, [], _format_loss).y_range
    above = [line for line in lines if line.points and line.points[0][1] > shown[1]]
    if not above:
        return whole
    said = ", ".join(f"{line.label} {_format_loss(line.points[0][1])}" for line in above)
    places = " and ".join(dict.fromkeys(f"{line.points[0][0]:,.0f}" for line in above))
    return evolve(
        whole,
        y_range=shown,
        marks=tuple(mark for mark in marks if mark.y <= shown[1]),
        note=f"above, at {axis.removesuffix('s')} {places}: {said}",
    )


def _finite_ys(lines: Iterable[Line]) -> list[float]:
    return [y for line in lines for _, y in line.points if math.isfinite(y)]


def _build_panel(
    title: str, lines: list[Line], marks: list[Mark], format_y: Callable[[float], str]
) -> Panel:
    ys = [*_finite_ys(lines), *(mark.y for mark in marks)]
    low, high = (min(ys), max(ys)) if ys else (0.0, 1.0)
    room = max(0.04 * (high - low), 1e-6 * max(abs(low), abs(high))) or 0.5
    return Panel(
        title=title,
        lines=tuple(lines),
        marks=tuple(marks),
        y_range=(low - room, high + room),
        format_y=format_y,
    )


def _x(run: Run, step: int, axis: Axis) -> float:
    return float(step) if axis == "steps" else run.tokens_at(step)


def _require_tokens(runs: Iterable[Run]) -> None:
    problems = [
        Problem(run.file, "", "does not count tokens", "plot it by steps", kind="log.tokens")
        for run in runs
        if not run.counts_tokens
    ]
    if problems:
        raise UsageError(*problems)


def _format_loss(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def _format_step(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else ""


def _format_rate(value: float) -> str:
    return f"{value:.1e}".replace("e-0", "e-") if value else "0"


def _format_figure(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def _format_count(value: float) -> str:
    return short_count(value) if math.isfinite(value) else "not finite"


# The title of a panel of single updates, and how its values are written.
_OF_UPDATES: dict[str, tuple[str, Callable[[float], str]]] = {
    "grad_norm": ("gradient norm", _format_figure),
    "tokens_per_sec": ("tokens per second", _format_count),
}
