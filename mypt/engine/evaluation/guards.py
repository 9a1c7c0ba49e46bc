"""The gold guards that come with mypt: pure functions of an evaluation and of their memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.plugins.contracts.guard import Evaluation, GoldGuard, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERFIT_OPTIONS = {
    "type": "object",
    "properties": {"max_ratio": {"type": "number", "exclusiveMinimum": 0, "default": 5.0}},
    "additionalProperties": False,
}
TREND_OPTIONS = {
    "type": "object",
    "properties": {"max_rises": {"type": "integer", "minimum": 1, "default": 2}},
    "additionalProperties": False,
}
REGRESSION_OPTIONS = {
    "type": "object",
    "properties": {"max_regression": {"type": "number", "minimum": 0, "default": 0.2}},
    "additionalProperties": False,
}


def overfit_guard(options: Mapping[str, Any]) -> GoldGuard:
    """Block a model that memorises: validation loss over `max_ratio` times the training loss."""
    limit = options.get("max_ratio", 5.0)

    def judge(evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
        train, val = evaluation.train_loss, evaluation.val_loss
        ratio = val / train if 0 < train < math.inf else math.inf
        if ratio > limit:
            reason = f"overfit: val/train={ratio:.1f}x, threshold={limit:.1f}x"
            return Verdict(reason, memory)
        return Verdict(None, memory)

    return judge


def trend_guard(options: Mapping[str, Any]) -> GoldGuard:
    """Block a dip that follows `max_rises` rises of the validation loss: likely noise."""
    limit = options.get("max_rises", 2)

    def judge(evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
        rises, last = memory.get("rises", 0), memory.get("last_val_loss")
        reason = f"trend: {rises} consecutive val rises" if rises >= limit else None
        val = evaluation.val_loss
        if not math.isfinite(val):  # diverged: a rise, and nothing to compare the next one with
            return Verdict(reason, {"rises": rises + 1, "last_val_loss": last})
        risen = last is not None and val > last
        return Verdict(reason, {"rises": rises + 1 if risen else 0, "last_val_loss": val})

    return judge


def regression_guard(options: Mapping[str, Any]) -> GoldGuard:
    """Block a model that got worse than its first evaluation on any further evaluation set."""
    limit = options.get("max_regression", 0.2)

    def judge(evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
        finite = {k: v for k, v in evaluation.eval_losses.items() if math.isfinite(v)}
        baselines = {**finite, **memory.get("baselines", {})}
        reasons = []
        for name, loss in evaluation.eval_losses.items():
            if not math.isfinite(loss):
                reasons.append(f"eval regression: {name} is not finite")
                continue
            base = baselines[name]
            growth = (loss - base) / base if base > 0 else math.inf if loss > base else 0.0
            if growth > limit:
                change = f"{name} {base:.4f}→{loss:.4f} (+{growth:.0%}, threshold={limit:.0%})"
                reasons.append(f"eval regression: {change}")
        return Verdict("; ".join(reasons) or None, {"baselines": baselines})

    return judge
