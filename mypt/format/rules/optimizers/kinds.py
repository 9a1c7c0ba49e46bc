"""The kinds of problems with an optimizer state, and what to do about most of them."""

from __future__ import annotations

FORM, ALGORITHM, GROUPS, SHAPE, DTYPE = (
    f"optimizer.{kind}" for kind in ("form", "algorithm", "groups", "shape", "dtype")
)
# Warnings: a resume goes on, but not as the run that was saved.
ENTRY, SETTINGS, OTHER = (f"optimizer.{kind}" for kind in ("entry", "settings", "other"))
INEXACT = frozenset({ENTRY, SETTINGS, OTHER})
# A warning: no plugin here says what the optimizer keeps.
UNKNOWN = "optimizer.unknown"

FIX = "remove it to go on with a fresh optimizer, or restore the one of this model"
