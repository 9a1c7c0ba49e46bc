"""Open a bundle again where a run saves it while its weights are being read."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mypt.format.errors import FormatError
from mypt.format.storage.generations import CHANGING, TRIES

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def reopen_if_saved(read: Callable[P, T]) -> Callable[P, T]:
    """Repeat a function that opens a checkpoint and reads it, if the checkpoint is saved meanwhile.

    What it returns is of one generation. The error of the last of `TRIES` attempts is raised.

    Args:
        read: Opens the checkpoint by itself, and changes nothing before it has read everything.
    """

    @wraps(read)
    def repeated(*args: P.args, **options: P.kwargs) -> T:
        for _ in range(TRIES - 1):
            try:
                return read(*args, **options)
            except FormatError as error:
                if all(problem.kind != CHANGING for problem in error.problems):
                    raise
        return read(*args, **options)

    return repeated
