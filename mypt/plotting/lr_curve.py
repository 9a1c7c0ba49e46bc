"""The learning rate of a run between its evaluations, from the schedule that its log records."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from mypt.engine.training.lr_schedule import learning_rate_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.documents.training import TrainingConfig
    from mypt.plotting.run import Run

    RatePoint = tuple[int, float]

_STEPS = 500  # of the whole curve: about a dot each
_TOLERANCE = 1e-6


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
        training = start.training
        if training is not None and all(_agrees(point, training) for point in part):
            begin = max(start.step, first)
            steps = {step for step, _ in part} | set(_steps(training, begin, end, every))
            curve += [(step, _rate(step, training)) for step in sorted(steps)]
        else:
            curve += part
    return curve


def _index(logged: list[RatePoint], step: int) -> int:
    return bisect_left(logged, step, key=lambda point: point[0])


def _steps(training: TrainingConfig, begin: int, end: int, every: int) -> Iterator[int]:
    """Yield the steps at which a part is drawn, with the peak."""
    yield from range(begin, end, every)
    peak = training.warmup_steps
    if begin <= peak < end:
        yield peak


def _rate(step: int, training: TrainingConfig) -> float:
    """Return the rate as an evaluation after `step` updates logs it."""
    return learning_rate_at(min(step, training.max_iters - 1), training)


def _agrees(point: RatePoint, training: TrainingConfig) -> bool:
    return math.isclose(point[1], _rate(point[0], training), rel_tol=_TOLERANCE, abs_tol=1e-12)
