"""Migrations between versions of the format, each a pure function in a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.migrations.v0_to_v1 import V0_TO_V1
from mypt.format.migrations.v1_to_v2 import V1_TO_V2

if TYPE_CHECKING:
    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.migrations.step import Migration

STEPS: tuple[Migration, ...] = (V0_TO_V1, V1_TO_V2)


def upgrade(checkpoint: Checkpoint) -> Checkpoint:
    """Migrate a checkpoint to the current version; one that is current stays as it is.

    Raises:
        FormatError: A migration found something that it cannot carry over.
    """
    for step in STEPS:
        if checkpoint.version == step.source:
            checkpoint = step.apply(checkpoint)
    return checkpoint
