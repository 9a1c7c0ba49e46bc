"""Why another program cannot compute a model: the fields of its config that mean something else."""

from __future__ import annotations

from typing import Any

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import field_names
from mypt.format.errors import Problem
from mypt.format.rules.equivalence import format_meaning

# Fields that no config may have without another one.
_DEPENDENT = {"sliding_window": ("window_pattern", "rope_theta_sliding")}
FILE, UNSUPPORTED = "config.json", "export.unsupported"


def explain_difference(field: str, ours: GPTConfig, theirs: GPTConfig, nearest: str) -> Problem:
    """Return why a field keeps a model from being written, and the setting that would not.

    Args:
        field: Name of the field.
        ours: The config of the model.
        theirs: What the other program would compute.
        nearest: What of the other program comes nearest, with a comma where it is described.
    """
    held, wanted = format_meaning(ours, field), theirs.meaning_of(field)
    flag = _make_flag(field, wanted)
    what = f"is {held}; {nearest} has {format_meaning(theirs, field)}"
    if wanted is None:
        what = f"is {held}, which {nearest} does not have"
        besides = [name for name in _DEPENDENT.get(field, ()) if getattr(ours, name) is not None]
        flag = " and ".join([flag, *(f"--{name}" for name in besides)])
    fix = f"use mypt itself, or train a model {flag}"
    return Problem(FILE, f"/{field}", what, fix, kind=UNSUPPORTED)


def list_implied(ours: GPTConfig, theirs: GPTConfig) -> set[str]:
    """Return the fields of rotation where positions are encoded in another way anyhow."""
    if ours.pos_encoding == theirs.pos_encoding:
        return set()
    return {name for name in field_names(GPTConfig) if name.startswith("rope_")}


def _make_flag(field: str, value: Any) -> str:
    """Return how a run is started whose model has this value."""
    if value is None or not isinstance(value, (bool, int, float, str)):
        return f"without --{field}"
    if isinstance(value, bool):
        return f"with --{'' if value else 'no_'}{field}"
    return f"with --{field} {value}"
