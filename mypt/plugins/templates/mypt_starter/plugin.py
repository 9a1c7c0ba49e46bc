"""Register this package with mypt.

Import here what registering takes, and anything else inside the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import GuardFactory, Verdict, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins import Evaluation, GoldGuard

NAME = "starter"
OPTIONS = {
    "type": "object",
    "properties": {"limit": {"type": "number", "exclusiveMinimum": 0, "default": 4.0}},
    "additionalProperties": False,
}


@hookimpl
def mypt_gold_guards() -> list[GuardFactory]:
    """Offer the guard of this package."""
    return [GuardFactory(NAME, build_guard, options=OPTIONS)]


def build_guard(options: Mapping[str, Any]) -> GoldGuard:
    """Block every model whose validation loss is above `limit`."""
    limit = options.get("limit", 4.0)

    def judge(evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
        if evaluation.val_loss > limit:
            return Verdict(f"{NAME}: {evaluation.val_loss:.4f} is above {limit}", memory)
        return Verdict(None, memory)

    return judge
