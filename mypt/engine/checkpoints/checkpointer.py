"""Where the bundles of a run go: its own, gold, numbered, rounded and averaged ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from attrs import evolve, frozen

from mypt.engine.averaging.weight_mean import mean_weights
from mypt.engine.checkpoints.copies import prune_snapshots
from mypt.engine.checkpoints.write import write_bundle
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.storage.commit import open_for_writing

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypt.engine.checkpoints.saver import Copy
    from mypt.engine.checkpoints.write import ModelDescription
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.training import TrainingState
    from mypt.format.storage.commit import BundleWriter


@frozen(kw_only=True)
class Written:
    """What a save has written.

    Attributes:
        copies: Names of the copies.
        size_bytes: Size of all files, those of the run's own bundle included.
        ended: When it was on disk, in seconds of `time.monotonic`.
    """

    copies: tuple[str, ...] = ()
    size_bytes: int = 0
    ended: float = 0.0


class Checkpointer:
    """Writes the bundles of one run."""

    def __init__(
        self,
        writer: BundleWriter,
        model: ModelDescription,
        *,
        decay_step: int | None = None,
        no_lock: bool = False,
    ) -> None:
        """Prepare.

        Args:
            writer: Holder of the run's own bundle.
            model: What the bundles hold beside tensors and training state.
            decay_step: The step whose numbered copy is kept whatever `keep_snapshots` says.
            no_lock: Whether copies are written also where the file system has no locks.
        """
        self.folder = writer.folder
        self._writer = writer
        self._model = model
        self._decay_step = decay_step
        self._no_lock = no_lock
        self._written = Written()

    def report(self) -> Written:
        """Return what was written since this was called last."""
        written, self._written = self._written, Written()
        return written

    def write_copies(self, copy: Copy, state: TrainingState, kinds: Collection[CopyKind]) -> None:
        """Write the copies of the model that one instant leaves.

        Raises:
            SaveError: One could not be written; what it was to replace is whole.
        """
        for kind in CopyKind:
            if kind in kinds:
                self._write_copy(copy, state, kind)

    def write_own(self, copy: Copy, state: TrainingState, kinds: Collection[CopyKind]) -> None:
        """Write the run's own bundle, after the copies of the same instant.

        Killed in between, the resumed run goes on from the save before, comes here again and
        writes the same copies again.

        Args:
            copy: The tensors.
            state: Progress.
            kinds: The copies that were written; numbered ones that this made too many are removed.

        Raises:
            SaveError: It could not be written; what it was to replace is whole.
        """
        made = write_bundle(self._writer, self._model, state, copy.weights, copy.optimizer)
        self._note(made)
        if CopyKind.NUMBERED in kinds:
            keep = state.training_config.keep_snapshots
            prune_snapshots(
                self.folder,
                keep,
                state.step,
                state.run_id,
                spared=self._decay_step,
                no_lock=self._no_lock,
            )

    def _write_copy(self, copy: Copy, state: TrainingState, kind: CopyKind) -> None:
        state, training = evolve(state, copy_of=self.folder.name), state.training_config
        is_mean = kind is CopyKind.EMA or (kind is CopyKind.GOLD and training.is_gold_averaged)
        if is_mean:
            state = evolve(state, mean_decay=training.ema)
        weights = mean_weights(copy.weights, copy.optimizer) if is_mean else copy.weights
        optimizer = None if is_mean else copy.optimizer  # which is not of the mean
        step = state.step if kind is CopyKind.NUMBERED else None
        folder = kind.path(self.folder, step)
        is_fp16 = kind is CopyKind.FP16
        dtype = torch.float16 if is_fp16 else None
        with open_for_writing(folder, no_lock=self._no_lock) as writer:
            kept = None if is_fp16 else optimizer
            made = write_bundle(writer, self._model, state, weights, kept, dtype)
        self._note(made, folder.name)

    def _note(self, made: Manifest, *copies: str) -> None:
        self._written = Written(
            copies=(*self._written.copies, *copies),
            size_bytes=self._written.size_bytes + sum(f.size_bytes for f in made.files.values()),
            ended=time.monotonic(),
        )
