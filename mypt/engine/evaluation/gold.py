"""Which model of a run becomes gold: the lowest validation loss that no guard objects to."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.documents.training import Decision, GoldMemory
from mypt.format.errors import ConfigError, PluginError, Problem, log_traceback, suggestion
from mypt.format.optimizers.weight_mean import KEY as MEAN
from mypt.format.rules.plugin_settings import GUARDS
from mypt.plugins.selection import check_names, select_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.plugins.contracts.guard import Evaluation, GoldGuard, GuardFactory, Verdict


_ADD = "add it with --eval_sets"


@frozen
class GoldDecision:
    """The gold decision on one evaluation.

    Attributes:
        promoted: It becomes gold.
        reasons: Why a model with a new lowest loss, or with none, did not; empty otherwise.
        loss: What gold is the lowest of.
        memory: What to remember for the next decision.
    """

    promoted: bool
    reasons: tuple[str, ...]
    loss: float
    memory: GoldMemory


def gold_loss(evaluation: Evaluation, metric: Mapping[str, float]) -> float:
    """Return the loss that gold minimises: a mean of losses, weighted by `metric`.

    Args:
        evaluation: Has every loss that `metric` names.
        metric: Weight of each loss, by name: `val` or that of a further data set; empty for `val`.

    Returns:
        Nats per token, rounded to 6 decimals; not finite where one of the losses is not.
    """
    if not metric:
        return evaluation.val_loss
    losses = {**evaluation.eval_losses, "val": evaluation.val_loss}
    total = math.fsum(weight * losses[name] for name, weight in metric.items())
    return round(total / math.fsum(metric.values()), 6)


def check_metric(training: TrainingConfig, eval_sets: Iterable[str]) -> None:
    """Raise if `gold_metric` names a loss that no evaluation measures.

    Args:
        training: Hyperparameters.
        eval_sets: Names of the further data sets.

    Raises:
        ConfigError: It names one.
    """
    known = ["val", *eval_sets, *([MEAN] if training.ema else [])]
    for name in training.gold_metric:
        if name not in known:
            what = f"names `{name}`, which is not measured{suggestion(name, known)}"
            add = "keep a mean of the weights with --ema" if name == MEAN else _ADD
            fix = f"name some of: {', '.join(known)}; or {add}"
            raise ConfigError(Problem("", "gold_metric", what, fix, kind="gold.metric"))


def decide(
    evaluation: Evaluation,
    memory: GoldMemory,
    guards: Mapping[str, GoldGuard],
    metric: Mapping[str, float] | None = None,
) -> GoldDecision:
    """Decide on one evaluation; equal arguments give equal decisions.

    A loss that is not finite blocks gold, and of equal losses the earlier one stays. A guard that
    fails blocks gold with its reason.
    """
    verdicts = {
        name: _ask_guard(name, guard, evaluation, memory.guards.get(name, {}))
        for name, guard in guards.items()
    }
    reasons = tuple(verdict.reason for verdict in verdicts.values() if verdict.reason)
    notes = {**memory.guards, **{name: dict(verdict.memory) for name, verdict in verdicts.items()}}
    best, loss = memory.best_val_loss, gold_loss(evaluation, metric or {})
    candidate = math.isfinite(loss) and (best is None or loss < best)
    promoted = candidate and not reasons
    blocked = reasons if candidate else _explain_no_value(evaluation, metric or {})
    return GoldDecision(
        promoted=promoted,
        reasons=blocked,
        loss=loss,
        memory=GoldMemory(
            best_val_loss=loss if promoted else best,
            best_step=evaluation.step if promoted else memory.best_step,
            guards=notes,
            decision=Decision(step=evaluation.step, promoted=promoted, reasons=blocked),
            extra=memory.extra,
        ),
    )


def _explain_no_value(evaluation: Evaluation, metric: Mapping[str, float]) -> tuple[str, ...]:
    """Return which of the losses that gold is decided on have no finite value."""
    losses = {**evaluation.eval_losses, "val": evaluation.val_loss}
    names = [name for name in metric or ("val",) if not math.isfinite(losses[name])]
    return tuple(f"the loss of {name} is not a finite number" for name in names)


def explain_incomparable(previous: TrainingState, state: TrainingState) -> str | None:
    """Return why losses from here on cannot be compared with that of the gold checkpoint.

    Returns:
        None where they can, or where there is no gold; see `explain_other_losses`.
    """
    if previous.gold is None or previous.gold.best_val_loss is None:
        return None
    return explain_other_losses(previous, state)


def explain_other_losses(previous: TrainingState, state: TrainingState) -> str | None:
    """Return why losses from here on cannot be compared with those before.

    Args:
        previous: The state as it was saved.
        state: The same, with the hyperparameters and data of the run that begins.

    Returns:
        None where they can.
    """
    before, now = previous.training_config, state.training_config
    if before.gold_metric != now.gold_metric:
        return "gold_metric changed"
    if any(_find_set_path(name, before) != _find_set_path(name, now) for name in now.gold_metric):
        return "eval_sets or eval_dataset_dir changed"
    if before.dpo_beta != now.dpo_beta:
        return "dpo_beta changed"
    was, data = previous.data, state.data
    if was is not None and data is not None and was.sha256 != data.sha256:
        return "the data changed"
    return None


def _find_set_path(name: str, training: TrainingConfig) -> str | None:
    """Return the path of an evaluation set; one not in `eval_sets` is `eval_dataset_dir`."""
    return (
        None if name in ("val", MEAN) else training.eval_sets.get(name, training.eval_dataset_dir)
    )


def build_guards(
    options: Mapping[str, Any], factories: Mapping[str, GuardFactory]
) -> dict[str, GoldGuard]:
    """Build the guards that a run names, and the default ones; `false` switches one off.

    A guard that is not here can be switched off too: a run then goes on without its plugin.

    Args:
        options: `gold_guards` of the training config.
        factories: The registered guards, by name.

    Raises:
        ConfigError: An option names no guard or does not fit the guard's schema.
    """
    check_names(GUARDS, options, factories)
    return {
        name: factories[name].build(settings)
        for name, settings in select_options(GUARDS, options, factories).items()
    }


def _ask_guard(
    name: str, guard: GoldGuard, evaluation: Evaluation, memory: Mapping[str, Any]
) -> Verdict:
    from mypt.plugins.contracts.guard import Verdict

    try:
        verdict = guard(evaluation, deepcopy(memory))
        reason = None if verdict.reason is None else str(verdict.reason)
        # As a resumed run will read it, so that both decide alike.
        return Verdict(reason, json.loads(json.dumps(dict(verdict.memory), allow_nan=False)))
    except PluginError as error:  # names the guard and its plugin
        log_traceback(error)
        return Verdict(str(error), memory)
    except Exception as error:  # a plugin's guard must not end a training run
        log_traceback(error)
        return Verdict(f"guard {name} failed: {type(error).__name__}: {error}", memory)
