"""What only training needs: the training state and the optimizer state.

Inference opens a checkpoint whose state is damaged, and warns; validation and a resume refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.storage import files

if TYPE_CHECKING:
    from mypt.format.errors import Problem

_NEEDED = frozenset({files.CONFIG, files.TOKENIZER, files.MODEL, files.MANIFEST})
# Of the pickles that mypt refuses, those that are only damaged or too large.
_HARMLESS_PICKLES = frozenset({"pickle.malformed", "pickle.limit"})


def may_hold_optimizer(name: str) -> bool:
    """Return whether a file of this name can be the optimizer's: no other file of a bundle is."""
    return name not in _NEEDED and name != files.TRAINING_STATE


def concerns_training(problem: Problem, names: tuple[str, str]) -> bool:
    """Return whether a problem matters to training alone.

    A pickle that could run code and a path that leaves the folder matter to everybody: whoever
    wrote them meant harm.

    Args:
        problem: Any problem of a bundle.
        names: What the problems call the training state and the optimizer's file.
    """
    return problem.file in names and not _is_hostile(problem)


def _is_hostile(problem: Problem) -> bool:
    if problem.kind.startswith("pickle."):
        return problem.kind not in _HARMLESS_PICKLES
    return problem.kind == "schema.pattern" and problem.where == "/optimizer_file"
