"""The type of a migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.checkpoint import Checkpoint


@frozen
class Migration:
    """One migration from one version to the next.

    Attributes:
        source: The version it accepts.
        target: The version it produces.
        apply: A pure function from one to the other.
    """

    source: str
    target: str
    apply: Callable[[Checkpoint], Checkpoint]
