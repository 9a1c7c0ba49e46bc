"""Where the bundles of a run go: its own, gold, numbered and half-precision ones."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import torch
from attrs import evolve

from mypt.engine.checkpoints.copies import snapshots
from mypt.engine.checkpoints.paths import sibling, snapshot_dir
from mypt.engine.checkpoints.write import write_bundle
from mypt.format.errors import FormatError, LockedError, SaveError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.remove import remove_bundle, sweep_removed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mypt.engine.checkpoints.async_saver import Copy
    from mypt.engine.checkpoints.write import ModelDescription
    from mypt.format.documents.training import TrainingState
    from mypt.format.storage.commit import BundleWriter

Kind = Literal["gold", "snapshot", "fp16", "main"]


class Checkpointer:
    """Writes the bundles of one run."""

    def __init__(self, writer: BundleWriter, model: ModelDescription) -> None:
        """Prepare.

        Args:
            writer: Holder of the run's own bundle.
            model: What the bundles hold beside tensors and training state.
        """
        self.folder = writer.folder
        self._writer = writer
        self._model = model

    def write(self, copy: Copy, state: TrainingState, kinds: Sequence[Kind]) -> None:
        """Write the copy of one instant to every place it belongs to.

        The run's own bundle comes last: killed in between, the resumed run goes on from the save
        before, comes here again and writes the same copies again.

        Raises:
            SaveError: One could not be written; what it was to replace is whole.
        """
        for kind in ("gold", "snapshot", "fp16"):
            if kind in kinds:
                self._write_copy(copy, state, kind)
        if "main" in kinds:
            write_bundle(self._writer, self._model, state, copy.weights, copy.optimizer)
        if "snapshot" in kinds:
            prune(self.folder, state.training_config.keep_snapshots, state.step)

    def _write_copy(self, copy: Copy, state: TrainingState, kind: str) -> None:
        state = evolve(state, copy_of=self.folder.name)
        place = sibling(self.folder, kind)
        if kind == "snapshot":
            place = snapshot_dir(self.folder, state.step)
        with open_for_writing(place) as writer:
            if kind == "fp16":
                write_bundle(writer, self._model, state, copy.weights, None, torch.float16)
            else:
                write_bundle(writer, self._model, state, copy.weights, copy.optimizer)


def prune(folder: Path, keep: int, step: int) -> None:
    """Remove the oldest numbered copies of a model until `keep` are left; 0 keeps all.

    One to whose folder somebody has added a file of their own, that is just being trained on or
    cannot be removed, is left as it is, and tried again the next time. Those beyond `step` are of
    a run before this one, and do not count.

    Args:
        folder: The model.
        keep: How many to keep.
        step: The step that was saved last.
    """
    sweep_removed(folder.parent, f"{folder.name}_step")
    there = [path for number, path in snapshots(folder).items() if number <= step]
    for path in there[:-keep] if keep else ():
        with suppress(LockedError, FormatError, SaveError):  # no reason to end a run
            remove_bundle(path)
