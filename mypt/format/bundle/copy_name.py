"""The names of the copies of a model: gold, half precision, a mean of its weights, numbered."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from mypt.format.storage.files import beside

if TYPE_CHECKING:
    from pathlib import Path

_MIN_DIGITS = 8


class CopyKind(StrEnum):
    """The kinds of copies, by the suffix of their folder names, in the order of writing."""

    GOLD = "gold"
    NUMBERED = "step"
    FP16 = "fp16"
    EMA = "ema"

    def path(self, folder: Path, step: int | None = None) -> Path:
        """Return the folder of this copy of a model.

        Args:
            folder: The model.
            step: Step of a numbered copy; None for the other kinds.
        """
        number = "" if step is None else f"{step:08d}"
        return beside(folder, f"{{}}_{self}{number}")


# Those of which a model has one each.
SINGLE = (CopyKind.GOLD, CopyKind.FP16, CopyKind.EMA)


class CopyName(NamedTuple):
    """The parts of the name of a copy's folder."""

    model: str
    kind: CopyKind
    step: int | None


def parse_copy_name(name: str) -> CopyName | None:
    """Parse the name of a copy's folder, as made by `CopyKind.path`; None if it is not one."""
    model, _, ending = name.rpartition("_")
    digits = ending.removeprefix(CopyKind.NUMBERED)
    if not model:
        return None
    if ending in SINGLE:
        return CopyName(model, CopyKind(ending), None)
    is_number = digits.isascii() and digits.isdigit() and len(digits) >= _MIN_DIGITS
    if not is_number or digits == ending:
        return None
    return CopyName(model, CopyKind.NUMBERED, int(digits))
