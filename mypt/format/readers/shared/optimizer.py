"""The optimizer state inside a file of another program, which inference does without."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mypt.format.errors import FormatError, Problem, log_traceback

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
# What a reader runs into where a file has lists for dicts, or lacks what every such file has.
SURPRISES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
FIX = "train from its weights alone, as a new model with --init_from_model, or restore the file"


def try_optimizer(read: Callable[[], T], file: str) -> tuple[T | None, tuple[Problem, ...]]:
    """Return what `read` makes of an optimizer state, and what is wrong with the state.

    Args:
        read: Arranges the state; may fail in any way that the values of a file can cause.
        file: Name of the file, for messages.

    Returns:
        The state and nothing, or None and all problems.
    """
    try:
        return read(), ()
    except FormatError as error:
        return None, error.problems
    except SURPRISES as error:
        log_traceback(error)
        reason = f"{type(error).__name__}: {error}"
        what = f"is not one that AdamW saves, or of an unknown form ({reason})"
        return None, (Problem(file, "the optimizer state", what, FIX, kind="optimizer.form"),)
