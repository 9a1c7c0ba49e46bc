"""What the user is told before the first step: what differs from before, and might surprise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.checkpoints.copies import find_copy, find_snapshots
from mypt.engine.evaluation.gold import explain_incomparable
from mypt.engine.schedules.batch_size import describe_tokens, list_unused_stretches
from mypt.engine.schedules.change import explain_change
from mypt.engine.schedules.learning_rate import LearningRate, explain_unused_settings
from mypt.engine.schedules.weight_decay import explain_no_decay
from mypt.engine.training.preferences import explain_unused_beta
from mypt.engine.training.reproducibility import list_differences
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.errors import MyptError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.engine.averaging.weight_mean import WeightMean
    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingConfig, TrainingState


def mean_notices(job: Job, mean: WeightMean | None) -> Iterator[str]:
    """Yield how the mean of the weights differs from that of a run that had it throughout."""
    previous = job.previous
    if previous is None or previous.step == 0:
        return
    if mean is None:
        if job.means:
            yield "The mean of the weights (ema) is dropped"
        return
    if mean.begun:
        of = "" if len(mean.begun) == len(mean.values) else f" of {len(mean.begun)} parameters"
        where = f"begins at step {previous.step}, with the weights as they are"
        yield f"The mean{of or ' of the weights'} {where} (ema {mean.decay:g})"
    before = previous.training_config.ema
    if before not in (0, mean.decay):
        yield f"The mean of the weights goes on with ema {mean.decay:g} instead of {before:g}"


def inexact_notices(job: Job, state: TrainingState) -> list[str]:
    """Report why a run does not go on exactly, as far as that is new."""
    known = 0 if job.previous is None else len(job.previous.inexact_reasons)
    return [f"Not the run of before: {reason}" for reason in state.inexact_reasons[known:]]


def schedule_notices(job: Job, state: TrainingState) -> Iterator[str]:
    """Yield what the schedules do that might surprise."""
    training, plugins = state.training_config, job.model.plugins
    if job.previous is not None:
        before = job.previous.training_config
        copy, in_python = _find_decay_copy(job, before), job.command is None
        yield from explain_change(
            before, training, state.step, plugins, copy=copy, in_python=in_python
        )
    yield from explain_unused_settings(training)
    yield from explain_unused_beta(job.phases, training)
    if training.batch_schedule:
        yield describe_tokens(job.model.config, training, state.step)
    yield from list_unused_stretches(training)
    yield from explain_no_decay(job.optimizer, training)


def _find_decay_copy(job: Job, before: TrainingConfig) -> Path | None:
    """Find the copy of the model before its learning rate decayed."""
    if job.folder is None or job.previous is None:
        return None
    try:
        decay_step = LearningRate.of(before, job.model.plugins).decay_step
    except MyptError:  # its plugin is gone
        return None
    if decay_step is None or decay_step >= job.previous.step:
        return None
    return find_snapshots(job.folder, job.previous.run_id).get(decay_step)


def difference_notices(job: Job, state: TrainingState) -> list[str]:
    """Report in what a run differs from the one that it does again."""
    if job.again is None:
        return []
    found = list_differences(job.again, state)
    if not found:
        return ["Nothing that decides the weights differs from the run of before"]
    return [f"Not the run of before: {difference}" for difference in found]


def gold_notices(job: Job, state: TrainingState) -> list[str]:
    """Announce that the next best model replaces gold, whatever the loss of gold was."""
    why = None if job.previous is None else explain_incomparable(job.previous, state)
    if why is None or job.folder is None:
        return []
    gold = find_copy(job.folder, CopyKind.GOLD, state.run_id)
    replaced = "" if gold is None else f": the next best model replaces {gold}; copy it to keep it"
    return [f"Gold begins anew, since {why}{replaced}"]
