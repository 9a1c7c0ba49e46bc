"""Register the guards with mypt."""

from __future__ import annotations

from mypt.plugins import GuardFactory, hookimpl
from mypt_guards.patience import OPTIONS, patience_guard


@hookimpl
def mypt_gold_guards() -> list[GuardFactory]:
    """Offer the guards of this package."""
    return [GuardFactory("patience", patience_guard, options=OPTIONS)]
