"""A guard that limits the number of evaluations without a new best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.plugins import Evaluation, GoldGuard, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = {
    "type": "object",
    "properties": {"evaluations": {"type": "integer", "minimum": 1, "default": 5}},
    "additionalProperties": False,
}


def patience_guard(options: Mapping[str, Any]) -> GoldGuard:
    """Block every model after `evaluations` evaluations without a new best.

    Source: Prechelt 1998, "Early Stopping - But When?", criterion UP, on the best loss.
    """
    limit = options.get("evaluations", 5)

    def judge(evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
        waited, best = memory.get("waited", 0), memory.get("best", math.inf)
        if waited >= limit:
            return Verdict(f"patience: {waited} evaluations without a new best", memory)
        if evaluation.val_loss < best:
            return Verdict(None, {"waited": 0, "best": evaluation.val_loss})
        return Verdict(None, {**memory, "waited": waited + 1})

    return judge
