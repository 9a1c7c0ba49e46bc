"""The learning rates of runs, for tests."""

from functools import cache

from mypt.engine.schedules.learning_rate import LearningRate
from mypt.plugins.manager import load_plugins


@cache
def _installed():
    return load_plugins()


def learning_rate_at(step, training, peak=None, plugins=None):
    """Return the learning rate of the update that follows `step` updates."""
    return LearningRate.of(training, plugins or _installed()).at(step, peak)
