"""The learning rate of a run as a function of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.engine.schedules.built_in import CONSTANT, WSD, count_decay_steps
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.training import Schedule
    from mypt.plugins.manager import Plugins

_CHECKED_STEPS = 10_000


@frozen(kw_only=True)
class LearningRate:
    """The learning rate of a run: linear warm-up to the peak, then what its schedule says.

    Attributes:
        training: Hyperparameters of the run.
        schedule: The schedule that it names.
        min_lr_fraction: The share of a peak that is the lowest rate, where `min_lr` is None.
        decay_step: Updates done when the decay begins, in the middle of the run; None where the
            schedule has no such step.
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
        decay_step = 0 if factory.decay_step is None else factory.decay_step(training)
        return cls(
            training=training,
            schedule=factory.build(training),
            min_lr_fraction=factory.min_lr_fraction,
            decay_step=decay_step if 0 < decay_step < training.max_iters else None,
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


def explain_unused_settings(training: TrainingConfig) -> Iterator[str]:
    """Yield what has no effect, or not the whole of it, on the rates of a run."""
    if training.min_lr is not None and training.lr_schedule == CONSTANT:
        said = f"min_lr {training.min_lr:g} has no effect"
        yield f"{said}: the schedule {CONSTANT} stays at the peak"
    warmup, length = training.warmup_steps, training.max_iters
    if warmup >= length > 0:
        said = f"warmup_iters {training.warmup_iters:g}: the learning rate rises to the end"
        yield f"{said}, as the run has {length} updates"
    elif training.lr_schedule == WSD and count_decay_steps(training) > length - warmup:
        said = (
            f"wsd: a decay of {count_decay_steps(training)} updates does not fit after the warm-up"
        )
        yield f"{said}: it takes {length - warmup}, and the learning rate never stays at its peak"


def check_learning_rate(
    training: TrainingConfig, plugins: Plugins, given: Collection[str] = (), file: str = ""
) -> None:
    """Check the learning rate of a run before its first update, at 10,000 of its steps or at all.

    Args:
        training: Hyperparameters of the run.
        plugins: What is installed.
        given: The fields that `file` does not say.
        file: The document that says the others; "" for none.

    Raises:
        PluginError: No plugin offers the schedule, or it fails, or returns no number from 0 to 1.
        ConfigError: `min_lr` is above `learning_rate`.
    """
    _check_min_lr(training, "" if "min_lr" in given else file)
    rate, steps = LearningRate.of(training, plugins), range(training.start_step, training.max_iters)
    for step in steps[:: max(1, len(steps) // _CHECKED_STEPS)]:
        rate.at(step)


def _check_min_lr(training: TrainingConfig, file: str = "") -> None:
    low, peak = training.min_lr, training.learning_rate
    if low is not None and low > peak:
        what = f"is {low:g}, above the peak: learning_rate is {peak:g}"
        where = "/min_lr" if file else "min_lr"
        raise ConfigError(Problem(file, where, what, "make it smaller", kind="training.min_lr"))
