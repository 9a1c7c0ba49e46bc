"""The learning-rate finder: a few updates at a rising rate, after which nothing is kept.

Source: Smith 2017 (Cyclical learning rates for training neural networks), section 3.3.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.engine.optimizers.peaks import note_peaks
from mypt.engine.schedules.batch_size import micro_steps_at
from mypt.engine.schedules.learning_rate import LearningRate
from mypt.engine.training.setup.model_setup import check_freezing, set_up_model
from mypt.engine.training.update import Updater
from mypt.format.documents.training import TrainingState
from mypt.model.training_loss import build_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.data.batches.batch import Batch
    from mypt.engine.training.job import Job

LOWEST, HIGHEST, UPDATES = 1e-7, 10.0, 200  # 25 updates for a power of ten
_AROUND = 5  # losses before and after one of which the mean is taken
_SLOPE = 6  # updates before and after one between which its slope is measured
_SMOOTHING = 0.9  # of the running mean of losses that ends the search, per update
_EXPLODED = 4.0  # times the lowest such mean


@frozen
class RateSearch:
    """The losses at rising learning rates.

    Attributes:
        rates: Learning rates, rising; of groups with peaks of their own, that of the run.
        losses: The training loss at each, as a mean over 11 updates around it, in nats per token.
        has_exploded: Whether the search ended since the loss had risen to four times its lowest,
            or was not finite.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    has_exploded: bool

    @property
    def lowest(self) -> float:
        """The rate at which the loss was lowest."""
        return self.rates[min(range(len(self.losses)), key=self.losses.__getitem__)]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls steepest; None where it never falls.

        Source: the rule `steep` of fastai's learning-rate finder; the slope is that over half a
        power of ten.
        """
        places = range(_SLOPE, len(self.losses) - _SLOPE)
        slopes = {p: self.losses[p + _SLOPE] - self.losses[p - _SLOPE] for p in places}
        steepest = min(slopes, key=slopes.__getitem__, default=None)
        return None if steepest is None or slopes[steepest] >= 0 else self.rates[steepest]


def find_learning_rate(job: Job) -> RateSearch:
    """Train at rates from 1e-7 to 10 until the loss explodes; nothing is written.

    The model and the optimizer of the job are used up.

    Args:
        job: What a run would work on.

    Raises:
        ConfigError: More layers are to be frozen than there are.
    """
    check_freezing(job.model, job.training)
    begin = job.training.start_step
    token_loss = build_loss(job.model, job.training)
    updater = Updater(
        job.model, job.optimizer, job.training, world=job.world, token_loss=token_loss
    )
    updater.learning_rate = _rising_rate(job, begin)
    rates, losses, mean, lowest = list[float](), list[float](), 0.0, math.inf
    job.model.train()
    with set_up_model(job.model, job.training):
        for number, batches in enumerate(_draw_batches(job, begin), 1):
            made = updater.update(batches, begin + number - 1)
            loss = float(job.world.total(made.loss)) / job.world.size
            mean += (1 - _SMOOTHING) * (loss - mean)
            smoothed = mean / (1 - _SMOOTHING**number)
            lowest = min(lowest, smoothed)
            if not math.isfinite(smoothed) or smoothed > _EXPLODED * lowest:
                return RateSearch(tuple(rates), _smooth(losses), has_exploded=True)
            rates.append(made.lr)
            losses.append(loss)
    return RateSearch(tuple(rates), _smooth(losses), has_exploded=False)


def _rising_rate(job: Job, begin: int) -> LearningRate:
    """Return the schedule of the search, and let the groups' peaks be in proportion to its end."""
    note_peaks(job.optimizer)
    peak = job.training.learning_rate
    for group in job.optimizer.param_groups:
        group["initial_lr"] = HIGHEST * (group["initial_lr"] / peak if peak else 1.0)
    spread = LOWEST / HIGHEST
    return LearningRate(
        training=evolve(job.training, learning_rate=HIGHEST, warmup_iters=0.0, min_lr=None),
        schedule=lambda step: spread ** (1 - (step - begin) / (UPDATES - 1)),
        min_lr_fraction=0.0,
        decay_step=None,
    )


def _draw_batches(job: Job, begin: int) -> Iterator[list[Batch]]:
    """Yield this process's batches of the updates that a run would begin with."""
    phases, training = job.phases, job.training
    rows = job.world.rows(job.model.config.batch_size)
    place = phases.epoch_from(job.previous or TrainingState(step=begin), training)
    for step in range(begin, begin + UPDATES):
        count = micro_steps_at(step, training)
        yield phases.draw(step, training.seed, count, place, rows)
        place = phases.epoch_after(step, place, count)


def _smooth(losses: Sequence[float]) -> tuple[float, ...]:
    """Return the mean of each loss and of those around it, of fewer at the ends."""
    ends = ((max(0, place - _AROUND), place + _AROUND + 1) for place in range(len(losses)))
    return tuple(fmean(losses[begin:end]) for begin, end in ends)
