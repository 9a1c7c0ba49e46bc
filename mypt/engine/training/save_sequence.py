"""The order in which a run saves a state, and announces what is on disk."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from mypt.engine.checkpoints.saver import Copy, Part
from mypt.engine.checkpoints.write import weights_of
from mypt.engine.logging import events
from mypt.engine.runtime.fsdp import is_sharded, send_parts
from mypt.format.bundle.copy_name import CopyKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mypt.engine.checkpoints.checkpointer import Checkpointer
    from mypt.engine.checkpoints.saver import Saver
    from mypt.engine.checkpoints.sharded.sharded_saver import ShardedSaver
    from mypt.engine.logging.dispatch import EventDispatcher
    from mypt.engine.optimizers.tracked import TrackedOptimizer
    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingState
    from mypt.format.errors import Problem


class SaveSequence:
    """Save the states of a run: the copies first, then gold is announced, then its own bundle.

    Attributes:
        folder: Where the last save went, or where the first one will; None for nowhere.
    """

    folder: Path | None

    def __init__(
        self,
        job: Job,
        *,
        dispatcher: EventDispatcher,
        tracked: TrackedOptimizer,
        checkpointer: Checkpointer | None,
        saver: Saver,
        sharded: ShardedSaver | None,
    ) -> None:
        """Prepare the saves of a run; see `Trainer` for the arguments."""
        self.folder = self._bundle = job.folder
        self._model = job.model
        self._dispatcher = dispatcher
        self._tracked = tracked
        self._checkpointer = checkpointer
        self._saver = saver
        self._sharded = sharded
        self._told: set[Problem] = set()

    def save(
        self,
        take_state: Callable[[], TrainingState],
        kinds: Sequence[CopyKind],
        gold: events.Event | None,
        *,
        is_last: bool,
    ) -> None:
        """Save what the run is at, as this process does.

        Args:
            take_state: Returns the state to save; not called by a process that saves none.
            kinds: The copies of the model.
            gold: Announces the gold one: once it is on disk, and before the run's own bundle is,
                from which a run that is killed goes on. So a resumed run announces it again if
                and only if it makes it again.
            is_last: Whether the run ends with it, which makes a bundle of what was saved in parts.

        Raises:
            SaveError: This save, or the one before, could not be written.
        """
        if self._sharded is not None:
            self._save_in_parts(self._sharded, take_state, kinds, gold, is_last=is_last)
            return
        if self._checkpointer is None:
            if is_sharded(self._model):
                send_parts(weights_of(self._model), self._tracked.collect())
            return
        self._saver.wait()  # and emit what it has to announce
        self._save_beside(self._checkpointer, take_state, kinds, gold)

    def _save_beside(
        self,
        checkpointer: Checkpointer,
        take_state: Callable[[], TrainingState],
        kinds: Sequence[CopyKind],
        gold: events.Event | None,
    ) -> None:
        """Begin a save; what is logged meanwhile waits for what the save announces."""
        began = time.monotonic()
        state = take_state()
        copies = partial(checkpointer.write_copies, state=state, kinds=kinds)
        own = partial(checkpointer.write_own, state=state)
        self._dispatcher.hold()
        announce = partial(self._dispatcher.announce, *([] if gold is None else [gold]))
        parts = [Part(copies, then=announce)] if kinds else []
        end = partial(self._announce, checkpointer, state.step, began, self.folder)
        parts.append(Part(own, then=end))
        self._saver.save(weights_of(self._model), self._tracked.collect(), *parts)

    def _save_in_parts(
        self,
        sharded: ShardedSaver,
        take_state: Callable[[], TrainingState],
        kinds: Sequence[CopyKind],
        gold: events.Event | None,
        *,
        is_last: bool,
    ) -> None:
        """Save with all processes, which wait; the last state of a run becomes its bundle."""
        began = time.monotonic()
        state = take_state()
        copy = Copy(weights=weights_of(self._model), optimizer=self._tracked.collect())
        made = sharded.agree_on(kinds)
        sharded.save_copies(copy, state, made)
        if gold is not None and CopyKind.GOLD in made:
            self._dispatcher.emit(gold)
        self.folder = self._bundle if is_last else sharded.folder
        save = sharded.save_bundle if is_last else sharded.save_parts
        save(copy, state)
        if self._checkpointer is not None:
            self._announce(self._checkpointer, state.step, began, self.folder)

    def _announce(
        self, checkpointer: Checkpointer, step: int, began: float, folder: Path | None
    ) -> None:
        written = checkpointer.report()
        saved = events.Saved(
            iter=step,
            folder=str(folder),
            copies=written.copies,
            size_bytes=written.size_bytes,
            save_duration_s=round(written.ended - began, 2),
        )
        untold = [problem for problem in written.left if problem not in self._told]
        self._told.update(untold)  # each save tries again, and may fail again
        notices = (events.Notice(message=f"An old copy stays: {problem}") for problem in untold)
        self._dispatcher.release(saved, *notices)
