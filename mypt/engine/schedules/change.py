"""What a resumed run changes about its schedules, for the steps to come or for those done."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from mypt.engine.schedules.batch_size import micro_steps_at
from mypt.engine.schedules.built_in import CONSTANT
from mypt.engine.schedules.learning_rate import LearningRate
from mypt.engine.schedules.weight_decay import decay_factor_at
from mypt.format.errors import MyptError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.manager import Plugins

# The fields that decide rates, weight decay and micro steps of a step, beside `weight_decay`.
SCHEDULE_FIELDS = (
    "max_iters",
    "learning_rate",
    "warmup_iters",
    "lr_schedule",
    "lr_schedule_options",
    "min_lr",
    "weight_decay_schedule",
    "grad_accum_steps",
    "batch_schedule",
)
_RATE_FIELDS = SCHEDULE_FIELDS[:6]
_MOST_STEPS = 100_000  # that are compared one by one
_SAME = 0.01  # a relative change of a rate that no message is about


def is_past_unchanged(
    before: TrainingConfig,
    after: TrainingConfig,
    step: int,
    plugins: Plugins,
    *,
    peaks: Collection[float],
    is_decayed: bool,
) -> bool:
    """Return whether the first `step` updates would have been the same with other schedules.

    Such a change makes no other run: it is where one that was planned so from the start would be.
    Of more than 100,000 steps as many are compared, at equal distances.

    Args:
        before: The hyperparameters of the updates done.
        after: Those of the updates to come.
        step: Updates done.
        plugins: Where the schedules are looked up.
        peaks: The peaks of the optimizer's groups, of which `learning_rate` may not set all.
        is_decayed: Whether any group decays weights.
    """
    if step == 0:
        return True
    if before.absent & {*SCHEDULE_FIELDS}:
        return False
    own_peaks = {*peaks} - {after.learning_rate}
    try:
        was, now = LearningRate.of(before, plugins), LearningRate.of(after, plugins)
        return all(
            all(was.at(s, peak) == now.at(s, peak) for peak in (None, *own_peaks))
            and micro_steps_at(s, before) == micro_steps_at(s, after)
            and (not is_decayed or decay_factor_at(s, before) == decay_factor_at(s, after))
            for s in (*range(0, step, -(-step // _MOST_STEPS)), step - 1)
        )
    except MyptError:  # a plugin is gone
        return False


def explain_change(
    before: TrainingConfig,
    after: TrainingConfig,
    step: int,
    plugins: Plugins,
    *,
    copy: Path | None,
    in_python: bool,
) -> Iterator[str]:
    """Yield what other settings do to the learning rate of a run, in one line.

    Args:
        before: The hyperparameters of the updates done.
        after: Those of the updates to come.
        step: Updates done.
        plugins: Where the schedules are looked up.
        copy: The copy of the model before its learning rate decayed; None where there is none.
        in_python: Whether advice is on arguments, and not on flags.

    Nothing is yielded where nothing changes for the rate, or the schedule of before is unknown.
    """
    if step == 0 or step >= after.max_iters or not _differ(before, after, _RATE_FIELDS):
        return
    now = LearningRate.of(after, plugins)
    try:
        was = LearningRate.of(before, plugins)
        last, planned = was.at(step - 1), was.at(step)
    except MyptError:
        return
    rate, name = now.at(step), after.lr_schedule
    is_steady = _is_close(rate, last)
    how = "stays until" if name == CONSTANT else f"{_verb(now, step)} until"
    told = f"{name} now {how} {after.max_iters}"
    said = f"The learning rate of step {step + 1} is {rate:.2e}, after {last:.2e} at step {step}"
    if is_steady or (step < before.max_iters and _is_close(rate, planned)):
        yield f"{said}: {told}"
    else:
        yield f"{said}: {told}; {_advise(last, after, copy, in_python=in_python)}"


def describe_copy(copy: Path, step: int, *, in_python: bool) -> str:
    """Return what the copy of the model is for that a run keeps where its decay begins.

    Args:
        copy: The folder of the copy.
        step: Updates done.
        in_python: Whether the run was started from Python, and not by a command.
    """
    return (
        f"The learning rate decays from step {step} on; the model before it is kept as {copy}, to "
        f"train longer from: {_go_on(copy, 'N', in_python=in_python)}"
    )


def _go_on(copy: Path, max_iters: object, *, in_python: bool) -> str:
    """Return the command, or the call, that trains on from a copy."""
    if in_python:
        return f'mypt.load("{copy.as_posix()}").fit(loader, max_iters={max_iters})'
    return f"mypt train --model_name {shlex.quote(copy.name)} --max_iters {max_iters}"


def _verb(now: LearningRate, step: int) -> str:
    """Return what a learning rate does from a step on, seen from its end."""
    if now.decay_step is not None and step < now.decay_step:
        return f"falls from step {now.decay_step}"
    return "falls" if now.at(now.training.max_iters - 1) < now.at(step) else "goes on"


def _advise(last: float, after: TrainingConfig, copy: Path | None, *, in_python: bool) -> str:
    if copy is not None:
        go_on = _go_on(copy, after.max_iters, in_python=in_python)
        return f"to train longer from before the decay: {go_on}"
    if in_python:
        return f'lr_schedule="{CONSTANT}", learning_rate={last:.3g} goes on as it was'
    return f"--lr_schedule {CONSTANT} --learning_rate {last:.3g} goes on as it was"


def _differ(before: TrainingConfig, after: TrainingConfig, fields: tuple[str, ...]) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in fields)


def _is_close(rate: float, other: float) -> bool:
    return abs(rate - other) <= _SAME * max(rate, other)
