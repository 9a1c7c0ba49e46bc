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
from mypt.format.shards.commit import remove_shards
from mypt.format.shards.places import shards_path
from mypt.format.storage.commit import open_for_writing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypt.engine.checkpoints.saver import Copy, OptimizerState
    from mypt.engine.checkpoints.write import ModelDescription
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.shards import ShardsRecord
    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.format.errors import Problem
    from mypt.format.storage.commit import BundleWriter


@frozen(kw_only=True)
class Written:
    """What a save has written.

    Attributes:
        copies: Names of the copies.
        size_bytes: Size of all files, those of the run's own bundle included.
        ended: When it was on disk, in seconds of `time.monotonic`.
        left: What is wrong with old copies that could not be removed.
    """

    copies: tuple[str, ...] = ()
    size_bytes: int = 0
    ended: float = 0.0
    left: tuple[Problem, ...] = ()


class Checkpointer:
    """Writes the bundles of one run.

    Attributes:
        folder: The run's own bundle.
        model: What the bundles hold beside tensors and training state.
    """

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
        self.model = model
        self._decay_step = decay_step
        self._no_lock = no_lock
        self._written = Written()

    def report(self) -> Written:
        """Return what was written since this was called last."""
        written, self._written = self._written, Written()
        return written

    def write_copies(self, copy: Copy, state: TrainingState, kinds: Collection[CopyKind]) -> None:
        """Write the copies of the model that one instant leaves, and remove those it made too many.

        Raises:
            SaveError: One could not be written; what it was to replace is whole.
        """
        for kind in CopyKind:
            if kind in kinds:
                self._write_copy(copy, state, kind)
        if CopyKind.NUMBERED in kinds:
            self._prune(state)

    def write_own(self, copy: Copy, state: TrainingState) -> None:
        """Write the run's own bundle, after the copies of the same instant.

        Killed in between, the resumed run goes on from the save before, comes here again, and
        writes and removes the same copies again.

        Args:
            copy: The tensors.
            state: Progress.

        Raises:
            SaveError: It could not be written; what it was to replace is whole.
        """
        made = write_bundle(self._writer, self.model, state, copy.weights, copy.optimizer)
        remove_shards(shards_path(self.folder))  # of before: they do not count any more
        self._note(made)

    def note_parts(self, made: ShardsRecord) -> None:
        """Note that the processes have saved the run in parts, after the copies of that instant."""
        self._note(made)

    def _prune(self, state: TrainingState) -> None:
        left = prune_snapshots(
            self.folder,
            state.training_config.keep_snapshots,
            state.step,
            state.run_id,
            spared=self._decay_step,
            no_lock=self._no_lock,
        )
        self._written = evolve(self._written, left=left)

    def _write_copy(self, copy: Copy, state: TrainingState, kind: CopyKind) -> None:
        state, training = evolve(state, copy_of=self.folder.name), state.training_config
        if _is_mean(kind, training):
            state = evolve(state, mean_decay=training.ema)
        weights, optimizer = pick_contents(copy, training, kind)
        step = state.step if kind is CopyKind.NUMBERED else None
        folder = kind.path(self.folder, step)
        dtype = torch.float16 if kind is CopyKind.FP16 else None
        with open_for_writing(folder, no_lock=self._no_lock) as writer:
            made = write_bundle(writer, self.model, state, weights, optimizer, dtype)
        self._note(made, folder.name)

    def _note(self, made: Manifest | ShardsRecord, *copies: str) -> None:
        self._written = evolve(
            self._written,
            copies=(*self._written.copies, *copies),
            size_bytes=self._written.size_bytes + sum(f.size_bytes for f in made.files.values()),
            ended=time.monotonic(),
        )


def pick_contents(
    copy: Copy, training: TrainingConfig, kind: CopyKind
) -> tuple[Mapping[str, torch.Tensor], OptimizerState | None]:
    """Return the weights of a copy of this kind, and its optimizer state where it has one."""
    if _is_mean(kind, training):
        return mean_weights(copy.weights, copy.optimizer), None  # which is not of the mean
    return copy.weights, None if kind is CopyKind.FP16 else copy.optimizer


def _is_mean(kind: CopyKind, training: TrainingConfig) -> bool:
    return kind is CopyKind.EMA or (kind is CopyKind.GOLD and training.is_gold_averaged)
