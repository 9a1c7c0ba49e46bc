"""Which model of a run becomes gold: the lowest validation loss that no guard objects to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.documents import GoldMemory
from mypt.format.errors import ConfigError, Problem, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts import Evaluation, GoldGuard, GuardFactory, Verdict


@frozen
class GoldDecision:
    """What becomes of a model after its evaluation.

    Attributes:
        promoted: It becomes gold.
        reasons: Why a model with a new best validation loss did not; empty otherwise.
        memory: What to remember for the next decision.
    """

    promoted: bool
    reasons: tuple[str, ...]
    memory: GoldMemory


def decide(
    evaluation: Evaluation, memory: GoldMemory, guards: Mapping[str, GoldGuard]
) -> GoldDecision:
    """Decide on one evaluation; equal arguments give equal decisions.

    A loss that is not finite never becomes gold, and of equal losses the earlier one stays. A
    guard that fails blocks gold with its reason.
    """
    verdicts = {
        name: _judge(name, guard, evaluation, memory.guards.get(name, {}))
        for name, guard in guards.items()
    }
    reasons = tuple(verdict.reason for verdict in verdicts.values() if verdict.reason)
    notes = {**memory.guards, **{name: dict(verdict.memory) for name, verdict in verdicts.items()}}
    best = memory.best_val_loss
    val = evaluation.val_loss
    candidate = math.isfinite(val) and (best is None or val < best)
    promoted = candidate and not reasons
    return GoldDecision(
        promoted=promoted,
        reasons=reasons if candidate else (),
        memory=GoldMemory(
            best_val_loss=val if promoted else best,
            best_step=evaluation.step if promoted else memory.best_step,
            guards=notes,
            extra=memory.extra,
        ),
    )


def build_guards(
    options: Mapping[str, Any], factories: Mapping[str, GuardFactory]
) -> dict[str, GoldGuard]:
    """Build the guards that a run names, and the default ones; `false` switches one off.

    Args:
        options: `gold_guards` of the training config.
        factories: The registered guards, by name.

    Raises:
        ConfigError: An option names no guard or does not fit the guard's schema.
    """
    problems = [
        Problem(
            "",
            "gold_guards",
            f"there is no gold guard `{name}`{suggestion(name, factories)}",
            f"use one of: {', '.join(sorted(factories))}",
        )
        for name in options
        if name not in factories
    ]
    for name, factory in factories.items():
        if options.get(name):
            problems += _option_problems(name, options[name], factory)
    if problems:
        raise ConfigError(*problems)
    return {
        name: factory.build(options.get(name, {}))
        for name, factory in factories.items()
        if options.get(name, {} if factory.default else False) is not False
    }


def _judge(
    name: str, guard: GoldGuard, evaluation: Evaluation, memory: Mapping[str, Any]
) -> Verdict:
    from mypt.plugins.contracts import Verdict

    try:
        return guard(evaluation, memory)
    except Exception as error:  # a stranger's guard must not end a training run
        return Verdict(f"guard {name} failed: {type(error).__name__}: {error}", memory)


def _option_problems(name: str, options: object, factory: GuardFactory) -> list[Problem]:
    from jsonschema import Draft202012Validator

    return [
        Problem("", f"gold_guards/{name}", error.message, "correct the option")
        for error in Draft202012Validator(factory.options).iter_errors(options)
    ]
