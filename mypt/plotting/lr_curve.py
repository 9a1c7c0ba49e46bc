"""The learning rate of a run between its evaluations, from the schedule that its log records."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.schedules.learning_rate import LearningRate
from mypt.format.errors import MyptError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.plotting.run import LoggedStart, Run
    from mypt.plugins.manager import Plugins

    RatePoint = tuple[int, float]

_STEPS = 500  # of the whole curve: about a dot each
_TOLERANCE = 1e-6


def find_schedules(run: Run, plugins: Plugins) -> Run:
    """Return a run whose starts have the learning rates that they were scheduled with.

    A start has none where its schedule is of a plugin that is not installed, or that fails.
    """
    return evolve(run, starts=tuple(_find_schedule(start, plugins) for start in run.starts))


def _find_schedule(start: LoggedStart, plugins: Plugins) -> LoggedStart:
    try:
        rate = None if start.training is None else LearningRate.of(start.training, plugins)
        if rate is not None:
            rate.at(start.step)
    except MyptError:
        return start
    return evolve(start, rate=rate)


def list_unknown(run: Run) -> list[str]:
    """Return the schedules of a run that are unknown here, so that only logged rates are joined."""
    return list(
        dict.fromkeys(
            start.training.lr_schedule
            for start in run.starts
            if start.training is not None and start.rate is None
        )
    )


def lr_curve(run: Run) -> list[RatePoint]:
    """Return steps and learning rates of a run, by rising step.

    Where the log says what schedule a part of the run followed, and every rate that it logged there
    agrees, the part is drawn as scheduled. Elsewhere the logged rates are joined.

    Args:
        run: A run; where it was resumed, each start has a schedule of its own.
    """
    logged = [(e.step, e.lr) for e in run.evaluations if e.lr is not None]
    if not logged:
        return []
    first, last = logged[0][0], logged[-1][0]
    every = max((last - first) // _STEPS, 1)
    starts = [start for start in run.starts if start.step <= last]
    ends = [*(start.step for start in starts), last + 1]
    curve = logged[: _index(logged, ends[0])]
    for start, end in zip(starts, ends[1:], strict=True):
        part = logged[_index(logged, start.step) : _index(logged, end)]
        rate = start.rate
        if rate is not None and all(_agrees(point, rate) for point in part):
            begin = max(start.step, first)
            steps = {step for step, _ in part} | set(_steps(rate, begin, end, every))
            curve += [(step, _rate_at(step, rate)) for step in sorted(steps)]
        else:
            curve += part
    return curve


def _index(logged: list[RatePoint], step: int) -> int:
    return bisect_left(logged, step, key=lambda point: point[0])


def _steps(rate: LearningRate, begin: int, end: int, every: int) -> Iterator[int]:
    """Yield the steps at which a part is drawn, with its corners."""
    yield from range(begin, end, every)
    for corner in (rate.training.warmup_steps, rate.decay_step):
        if corner is not None and begin <= corner < end:
            yield corner


def _rate_at(step: int, rate: LearningRate) -> float:
    """Return the rate as an evaluation after `step` updates logs it."""
    return rate.at(min(step, rate.training.max_iters - 1))


def _agrees(point: RatePoint, rate: LearningRate) -> bool:
    return math.isclose(point[1], _rate_at(point[0], rate), rel_tol=_TOLERANCE, abs_tol=1e-12)
