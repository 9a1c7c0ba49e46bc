"""Check a gold guard: the same verdicts on the same evaluations, also through a resume."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from mypt.plugins.contracts.guard import Evaluation, GuardFactory, Verdict
from mypt.testing.expectations import check_fields, check_options, during, expect, through_json
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.plugins.contracts.guard import GoldGuard

_LOSSES = (3.0, 2.5, 2.6, 2.7, 2.8, 2.4, math.nan, 2.3, math.inf, 2.2, 2.2, 0.0, 9.0, 2.0)
# Losses that fall, rise, are not finite and are zero; evaluation sets that come and go.
EVALUATIONS = tuple(
    Evaluation(
        step=10 * number,
        train_loss=0.5 * loss,
        val_loss=loss,
        eval_losses={} if number % 5 == 0 else {"books": 1.1 * loss, "code": 3.0},
    )
    for number, loss in enumerate(_LOSSES)
)


@during("the guard")
def check_guard(
    factory: GuardFactory,
    options: Mapping[str, Any] | None = None,
    evaluations: Sequence[Evaluation] = EVALUATIONS,
) -> list[str | None]:
    """Check that a guard is a pure function of an evaluation and of its own memory.

    Args:
        factory: As the plugin offers it.
        options: What the guard is built from; a run configures them in `gold_guards`.
        evaluations: The evaluations to judge, in order.

    Returns:
        Its reasons, one per evaluation; whether they are right is up to the caller.

    Raises:
        ContractError: It is not a pure function.
    """
    options = dict(options or {})
    check_fields(factory, GuardFactory)
    check_options(factory, options)
    check_current(factory, options)
    reasons, memories = _judge_all(factory.build(options), evaluations)
    for cut in range(1, len(evaluations)):
        kept = through_json(memories[cut - 1], "the memory")
        rest, _ = _judge_all(factory.build(options), evaluations[cut:], kept)
        expect(
            rest == reasons[cut:],
            f"resumed after evaluation {cut} it returns {rest}, without the break {reasons[cut:]}: "
            "it keeps state that is not in the memory of its verdicts",
        )
    return reasons


def _judge_all(
    guard: GoldGuard, evaluations: Sequence[Evaluation], memory: Mapping[str, Any] | None = None
) -> tuple[list[str | None], list[Mapping[str, Any]]]:
    memory = memory or {}
    reasons: list[str | None] = []
    memories: list[Mapping[str, Any]] = []
    for evaluation in evaluations:
        verdict = _judge_twice(guard, evaluation, memory)
        memory = through_json(dict(verdict.memory), "the memory")
        reasons.append(verdict.reason)
        memories.append(memory)
    return reasons, memories


def _judge_twice(guard: GoldGuard, evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
    before = copy.deepcopy((evaluation, memory))
    with during(f"the verdict on {evaluation}"):
        first, second = guard(evaluation, memory), guard(evaluation, memory)
    for verdict in (first, second):
        got = type(verdict).__name__
        expect(isinstance(verdict, Verdict), f"it returns a {got}, not a Verdict")
    reason = first.reason
    expect(
        reason is None or (isinstance(reason, str) and bool(reason)),
        f"its reason is {reason!r}, neither None nor a non-empty string",
    )
    expect(repr(before) == repr((evaluation, memory)), "it changes the memory that it receives")
    expect(
        repr(first) == repr(second),
        f"called twice for step {evaluation.step} it returns {first} and then {second}",
    )
    return first
