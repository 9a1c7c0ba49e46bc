"""The learning-rate schedules that come with mypt: constant, cosine, linear, wsd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.schedules.shapes import half_cosine, one_minus_sqrt, straight_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.factory import JsonSchema
    from mypt.plugins.contracts.training import Schedule

CONSTANT, LINEAR, WSD = "constant", "linear", "wsd"
# The cosine ends at a tenth of the peak, as in Hoffmann et al. 2022, section 3.1.
COSINE_MIN_LR_FRACTION = 0.1
_DECAY_FRACTION = 0.2


_SHAPES: Mapping[str, Callable[[float], float]] = {
    "linear": straight_line,
    "cosine": half_cosine,
    "sqrt": one_minus_sqrt,
}

WSD_OPTIONS: JsonSchema = {
    "type": "object",
    "properties": {
        "decay_iters": {
            "description": "Updates of the decay, which ends at max_iters; a value below 1 is a "
            "fraction of max_iters.",
            "type": "number",
            "exclusiveMinimum": 0,
            "default": _DECAY_FRACTION,
        },
        "decay": {
            "description": "The form of the decay: linear, cosine, or sqrt (1 minus the root).",
            "enum": [*_SHAPES],
            "default": "linear",
        },
    },
    "additionalProperties": False,
}


def build_constant(training: TrainingConfig) -> Schedule:  # noqa: ARG001
    """Build the schedule that stays at the peak."""
    return lambda step: 1.0  # noqa: ARG005


def build_cosine(training: TrainingConfig) -> Schedule:
    """Build half a cosine, from the end of the warm-up to `max_iters`."""
    return _falling(half_cosine, training.warmup_steps, training.max_iters)


def build_linear(training: TrainingConfig) -> Schedule:
    """Build a straight line, from the end of the warm-up to `max_iters`."""
    return _falling(straight_line, training.warmup_steps, training.max_iters)


def build_wsd(training: TrainingConfig) -> Schedule:
    """Build a stretch at the peak, then a decay until `max_iters`.

    Source: Hu et al. 2024 (MiniCPM), section 4.2.
    """
    shape = _SHAPES[training.lr_schedule_options.get("decay", "linear")]
    return _falling(shape, find_decay_step(training), training.max_iters)


def find_decay_step(training: TrainingConfig) -> int:
    """Return the updates done when the decay of wsd begins: never before the end of the warm-up."""
    return max(training.warmup_steps, training.max_iters - count_decay_steps(training))


def count_decay_steps(training: TrainingConfig) -> int:
    """Return the updates that the decay of wsd is to take, as `decay_iters` says."""
    decay = training.lr_schedule_options.get("decay_iters", _DECAY_FRACTION)
    return int(decay * training.max_iters if decay < 1 else decay)


def _falling(shape: Callable[[float], float], begin: int, end: int) -> Schedule:
    """Return the schedule that is 1 until `begin`, falls until `end`, and stays 0.

    Args:
        shape: Falls from 1 at 0 to 0 at 1.
        begin: Updates done before it falls.
        end: Updates done when it is down.
    """
    length = max(1, end - begin)
    return lambda step: shape(min(1.0, max(0, step - begin) / length))
