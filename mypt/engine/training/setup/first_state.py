"""The state that a run begins with, and whether it goes on exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.evaluation.gold import explain_incomparable, explain_other_losses
from mypt.engine.history import begin_or_continue, follow_runs
from mypt.engine.optimizers.peaks import peak_of
from mypt.engine.schedules.change import SCHEDULE_FIELDS, is_past_unchanged
from mypt.engine.schedules.weight_decay import has_decay
from mypt.engine.training.reproducibility import environment_of, inexact_reasons, provenance_of
from mypt.engine.training.setup.model_setup import trained_parameters
from mypt.format.documents.training import TrainingState
from mypt.format.storage.recorded_paths import record_text

if TYPE_CHECKING:
    from mypt.engine.optimizers.tracked import TrackedOptimizer
    from mypt.engine.training.job import Job


def first_state(job: Job, tracked: TrackedOptimizer) -> TrainingState:
    """Return the state of a run before its first step.

    Args:
        job: What the run works on.
        tracked: The optimizer of `job`.

    Returns:
        That of before with the settings, data and environment of now. Where these are others, it
        says why it is not exact, and drops what they make incomparable.
    """
    previous = job.previous or TrainingState(step=0, lineage=job.lineage)
    data = job.phases.fingerprint
    environment = environment_of(job.model, job.training, job.world.size)
    begun = provenance_of(job.model, job.training, job.command, previous.step)
    provenance, earlier_runs = follow_runs(previous, begun, environment)
    state = evolve(
        begin_or_continue(previous),
        training_config=evolve(job.training, absent=frozenset()),
        phase=job.phases.name_at(previous.step),
        epoch=job.phases.epoch_from(previous, job.training),
        data=evolve(data, source=record_text(data.source)),
        environment=environment,
        provenance=provenance,
        earlier_runs=earlier_runs,
    )
    if job.previous is None:
        return state
    reasons = inexact_reasons(
        previous,
        state,
        fresh=tracked.count_fresh(trained_parameters(job.model, job.training)),
        doubts=(*job.doubts, *tracked.list_doubts()),
        harmless=_harmless_changes(job, previous),
    )
    is_incomparable = explain_incomparable(previous, state) is not None
    are_others = explain_other_losses(previous, state) is not None
    return evolve(
        state,
        exact=previous.exact and not reasons,
        inexact_reasons=(*previous.inexact_reasons, *reasons),
        gold=None if is_incomparable else previous.gold,
        stopping=None if are_others else previous.stopping,
    )


def _harmless_changes(job: Job, previous: TrainingState) -> tuple[str, ...]:
    """Return the fields whose changes concern the steps to come alone."""
    before, plugins = previous.training_config, job.model.plugins
    is_same = is_past_unchanged(
        before,
        job.training,
        previous.step,
        plugins,
        peaks=[peak_of(group) for group in job.optimizer.param_groups],
        is_decayed=has_decay(job.optimizer),
    )
    return SCHEDULE_FIELDS if is_same else ()
