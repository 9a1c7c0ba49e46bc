"""Where the bundles of a run go: its own, gold, numbered and half-precision ones."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from attrs import evolve

from mypt.engine.checkpoints.copies import CopyKind, find_snapshots
from mypt.engine.checkpoints.write import write_bundle
from mypt.format.errors import FormatError, LockedError, SaveError
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.remove import remove_bundle, sweep_removed

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mypt.engine.checkpoints.async_saver import Copy
    from mypt.engine.checkpoints.write import ModelDescription
    from mypt.format.documents.training import TrainingState
    from mypt.format.storage.commit import BundleWriter


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

    def write(self, copy: Copy, state: TrainingState, kinds: Collection[CopyKind]) -> None:
        """Write the copy of one instant as these copies of the model, and as the run's own bundle.

        The latter comes last: killed in between, the resumed run goes on from the save
        before, comes here again and writes the same copies again.

        Raises:
            SaveError: One could not be written; what it was to replace is whole.
        """
        for kind in CopyKind:
            if kind in kinds:
                self._write_copy(copy, state, kind)
        write_bundle(self._writer, self._model, state, copy.weights, copy.optimizer)
        if CopyKind.NUMBERED in kinds:
            prune(self.folder, state.training_config.keep_snapshots, state.step)

    def _write_copy(self, copy: Copy, state: TrainingState, kind: CopyKind) -> None:
        state = evolve(state, copy_of=self.folder.name)
        step = state.step if kind is CopyKind.NUMBERED else None
        with open_for_writing(kind.path(self.folder, step)) as writer:
            if kind is CopyKind.FP16:
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
    sweep_removed(folder.parent, CopyKind.NUMBERED.path(folder).name)
    there = [path for number, path in find_snapshots(folder).items() if number <= step]
    for path in there[:-keep] if keep else ():
        with suppress(LockedError, FormatError, SaveError):  # no reason to end a run
            remove_bundle(path)
