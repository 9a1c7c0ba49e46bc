"""The learning rate of a run as a function of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts import Schedule
    from mypt.plugins.manager import Plugins


@frozen(kw_only=True)
class LearningRate:
    """The learning rate of a run: linear warm-up to the peak, then what its schedule says.

    Attributes:
        training: Hyperparameters of the run.
        schedule: The schedule that it names.
        min_lr_fraction: The share of a peak that is the lowest rate, where `min_lr` is None.
        decay_step: Updates done when the decay begins; None where the schedule has no such step.
    """

    training: TrainingConfig
    schedule: Schedule
    min_lr_fraction: float
    decay_step: int | None

    @classmethod
    def of(cls, training: TrainingConfig, plugins: Plugins) -> LearningRate:
        """Build the learning rate of a run.

        Raises:
            PluginError: No plugin offers the schedule, or it cannot be built.
            ConfigError: `min_lr` is above `learning_rate`.
        """
        _check_min_lr(training)
        factory = plugins.schedule(training.lr_schedule)
        return cls(
            training=training,
            schedule=factory.build(training),
            min_lr_fraction=factory.min_lr_fraction,
            decay_step=None if factory.decay_step is None else factory.decay_step(training),
        )

    def at(self, step: int, peak: float | None = None) -> float:
        """Return the learning rate of the update that follows `step` updates.

        Args:
            step: Updates done before.
            peak: The peak of a group of parameters; by default `learning_rate`, that of the run.
                Rates of groups keep the ratio of their peaks.

        Raises:
            PluginError: The schedule fails, or returns something else than a number from 0 to 1.
        """
        peak = self.training.learning_rate if peak is None else peak
        low, factor = self._lowest(peak), self.schedule(step)
        warmup = self.training.warmup_steps
        if step < warmup:
            share = low / peak if peak else 0.0
            return peak * (step + 1) / warmup * (share + factor * (1 - share))
        return low + factor * (peak - low)

    def _lowest(self, peak: float) -> float:
        training = self.training
        if training.min_lr is None:
            return peak * self.min_lr_fraction
        top = training.learning_rate
        return training.min_lr * (peak / top) if top else 0.0


def _check_min_lr(training: TrainingConfig) -> None:
    if training.min_lr is not None and training.min_lr > training.learning_rate:
        peak = training.learning_rate
        what = f"is {training.min_lr:g}, above the peak: learning_rate is {peak:g}"
        raise ConfigError(Problem("", "min_lr", what, "make it smaller", kind="training.min_lr"))
