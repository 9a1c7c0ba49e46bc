"""What a migration is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.checkpoint import Checkpoint


@frozen
class Migration:
    """One step.

    Attributes:
        source: The version it takes.
        target: The version it gives.
        apply: A pure function from one to the other.
    """

    source: str
    target: str
    apply: Callable[[Checkpoint], Checkpoint]
