"""The limits at which a run ends: `max_iters`, and those that end it before.

Which limits are reached follows from the training state alone, so a run that goes on from any save
ends where one that was never stopped does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.engine.evaluation.gold import explain_other_losses
from mypt.format.documents.training import StopMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.documents.training import TrainingConfig, TrainingState

_SECONDS = 60  # of a minute


@frozen
class End:
    """A limit that a run has reached.

    Attributes:
        field: The field of `TrainingConfig` that sets it.
        what: How it was reached, in words.
        further: A value of the field with which the run would go on.
    """

    field: str
    what: str
    further: str


def note_evaluation(memory: StopMemory | None, step: int, loss: float) -> StopMemory:
    """Return what to remember after an evaluation.

    A loss that is not finite is no gain. The first one that is finite is; and an evaluation of a
    step that was evaluated already counts once.

    Args:
        memory: What was remembered before; None before the first evaluation.
        step: Updates done.
        loss: The loss that gold is the lowest of, in nats per token.
    """
    lowest, without = (None, 0) if memory is None else (memory.lowest_loss, _count(memory, step))
    is_gain = math.isfinite(loss) and (lowest is None or loss < lowest)
    again = memory is not None and memory.step == step
    return StopMemory(
        step=step,
        loss=loss if math.isfinite(loss) else None,
        lowest_loss=loss if is_gain else lowest,
        evals_without_gain=0 if is_gain else without + (not again),
        extra={} if memory is None else memory.extra,
    )


def _count(memory: StopMemory, step: int) -> int:
    """Return the evaluations without gain before one, of which none is later in the run."""
    return memory.evals_without_gain if memory.step <= step else 0


def take_settings(saved: TrainingState, training: TrainingConfig) -> TrainingState:
    """Return a saved state as a run with other hyperparameters would go on from it.

    What is remembered of losses goes where they would be measured otherwise.
    """
    state = evolve(saved, training_config=training)
    is_other = explain_other_losses(saved, state) is not None
    return evolve(state, stopping=None) if is_other else state


def list_ends(state: TrainingState) -> tuple[End, ...]:
    """Return the limits of its `training_config` that a state has reached, `max_iters` first.

    Those of the loss are reached where the last evaluation was of this very step.
    """
    return tuple(_find_ends(state))


def explain_early_end(state: TrainingState) -> str | None:
    """Return by which limits a run ended before `max_iters`; None where it did not."""
    if state.step >= state.training_config.max_iters or not is_finished(state):
        return None
    return "; ".join(end.what for end in list_ends(state))


def repeat_settings(state: TrainingState, training: TrainingConfig) -> TrainingConfig:
    """Return hyperparameters with which a run that is done again ends where it did.

    Where the clock ended it, its tokens do.

    Args:
        state: The last state of the run.
        training: Its hyperparameters, from its first step.
    """
    is_by_clock = any(end.field == "max_minutes" for end in list_ends(state))
    if not is_by_clock or explain_early_end(state) is None:
        return training
    return evolve(training, max_minutes=None, max_tokens=state.tokens_processed)


def is_finished(state: TrainingState) -> bool:
    """Return whether a limit is reached and the last evaluation done, or more updates than asked.

    Args:
        state: As it was saved, with the hyperparameters of the run that would go on.
    """
    if state.step > state.training_config.max_iters:
        return True
    return bool(list_ends(state)) and state.evaluated_step in (None, state.step)


def _find_ends(state: TrainingState) -> Iterator[End]:
    training, memory = state.training_config, state.stopping
    if state.step >= training.max_iters:
        yield End("max_iters", f"max_iters is {training.max_iters}", f"{2 * state.step}")
    if memory is not None and memory.step == state.step:
        yield from _find_ends_of_loss(state, memory)
    tokens, minutes = state.tokens_processed, state.elapsed_s / _SECONDS
    if training.max_tokens is not None and tokens >= training.max_tokens:
        what = f"{tokens:,} tokens are trained on, and max_tokens is {training.max_tokens:,}"
        yield End("max_tokens", what, f"{2 * tokens}")
    if training.max_minutes is not None and minutes >= training.max_minutes:
        what = f"it took {minutes:.4g} minutes, and max_minutes is {training.max_minutes:g}"
        yield End("max_minutes", what, f"{max(1, math.ceil(2 * minutes))}")


def _find_ends_of_loss(state: TrainingState, memory: StopMemory) -> Iterator[End]:
    training, loss = state.training_config, memory.loss
    name, patience = training.gold_loss_name, training.stop_after_evals_without_gain
    if training.target_loss is not None and loss is not None and loss <= training.target_loss:
        what = f"{name} is {loss:.4f}, and target_loss {training.target_loss:g}"
        yield End("target_loss", what, f"{0.9 * loss:.3g}")
    if 0 < patience <= memory.evals_without_gain:
        lowest = "never finite" if memory.lowest_loss is None else f"{memory.lowest_loss:.4f}"
        count = memory.evals_without_gain
        which = "evaluation" if count == 1 else f"{count} evaluations"
        what = f"the last {which} had no {name} below the lowest ({lowest})"
        yield End("stop_after_evals_without_gain", what, "0")
