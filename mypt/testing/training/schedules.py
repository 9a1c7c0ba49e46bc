"""Check a learning-rate schedule: a pure function of the step, from 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.training import TrainingConfig
from mypt.plugins.contracts.training import ScheduleFactory
from mypt.plugins.results import check_result
from mypt.testing.expectations import check_fields, check_options, checking_results, during, expect
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Mapping

# Runs with and without a warm-up, of one update, and one that is all warm-up.
_RUNS = ((100, 0.0), (100, 10.0), (1, 0.0), (7, 7.0))


@during("the schedule")
def check_schedule(
    factory: ScheduleFactory, options: Mapping[str, Any] | None = None
) -> list[float]:
    """Check that a schedule is a function of the step alone, with results from 0 to 1.

    Each run is asked forwards, backwards, beyond its end, and again after it was built anew, as a
    resume does.

    Args:
        factory: As the plugin offers it.
        options: What a run gives as `lr_schedule_options`.

    Returns:
        What it returns for steps 0 to 100 of a run of 100 updates without warm-up; whether that is
        right is up to the caller.

    Raises:
        ContractError: The schedule violates its contract.
    """
    given = dict(options or {})
    check_fields(factory, ScheduleFactory)
    check_options(factory, given)
    check_current(factory, given)
    factory, first = checking_results(factory), list[float]()
    for max_iters, warmup in _RUNS:
        training = TrainingConfig(
            max_iters=max_iters,
            warmup_iters=warmup,
            lr_schedule=factory.name,
            lr_schedule_options=given,
        )
        made = _check_run(factory, training)
        first = first or made
    return first


def _check_run(factory: ScheduleFactory, training: TrainingConfig) -> list[float]:
    steps, run = range(training.max_iters + 1), f"a run of {training.max_iters} updates"
    schedule, again = (factory.build(training) for _ in "12")
    factors = {}
    for step in steps:
        with during(f"step {step} of {run}"):
            factors[step] = check_result(factory, "factor", schedule(step))
    for step in reversed(steps):
        for built, how in ((schedule, "asked again"), (again, "built anew")):
            found = check_result(factory, "factor", built(step))
            said = f"{how}, it returns {found} at step {step} of {run}, and {factors[step]} before"
            expect(found == factors[step], f"{said}: it is no function of the step alone")
    with during(f"a step beyond the end of {run}"):
        check_result(factory, "factor", schedule(10 * training.max_iters))
    if factory.decay_step is not None:
        with during("decay_step"):
            factory.decay_step(training)
    return [*factors.values()]
