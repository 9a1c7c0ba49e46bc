"""From one pickled file (`latest.pt`, `final.pt`, `gpt_step_N.pt`) to a folder of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.migrations.step import Migration
from mypt.format.storage import files

if TYPE_CHECKING:
    from mypt.format.documents.checkpoint import Checkpoint


def apply(checkpoint: Checkpoint) -> Checkpoint:
    """Add the name of the optimizer's file; everything else is the same in both versions."""
    state = dict(checkpoint.training_state or {})
    if checkpoint.optimizer is not None:
        state["optimizer_file"] = files.OPTIMIZER
    return evolve(checkpoint, version="1", training_state=state or None)


V0_TO_V1 = Migration(source="0", target="1", apply=apply)
