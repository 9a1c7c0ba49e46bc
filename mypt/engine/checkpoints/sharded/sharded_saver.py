"""Save a model whose processes hold parts of it; every process calls every method, in one order.

During a run the processes write their parts side by side, through torch.distributed.checkpoint. The
bundles that a run leaves, its copies and its last state, are written by the first process alone,
from tensors that all gather for it one after the other. Nobody ever holds the whole.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import torch

from mypt.engine.checkpoints.checkpointer import pick_contents
from mypt.engine.checkpoints.write import WRITTEN_BY, make_documents
from mypt.engine.runtime.fsdp import defer_state, defer_weights, place_of
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.documents.manifest import FileRecord
from mypt.format.errors import Problem, SaveError
from mypt.format.shards.commit import ShardsWriter, list_parts
from mypt.format.shards.places import generation_path, shards_path
from mypt.format.shards.record import STRUCTURE
from mypt.format.shards.structure import take_apart
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.tensors.info import DeferredTensor
from mypt.format.tensors.pt_writer import list_stored, write_tensors
from mypt.plugins.isolation import summarize_error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from mypt.engine.checkpoints.checkpointer import Checkpointer
    from mypt.engine.checkpoints.saver import Copy
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import TrainingState


class ShardedSaver:
    """Saves the model of a run of several processes.

    Attributes:
        folder: The folder of shards, beside the run's own bundle.
    """

    def __init__(self, folder: Path, world: World, checkpointer: Checkpointer | None) -> None:
        """Prepare.

        Args:
            folder: The run's own bundle.
            world: The processes.
            checkpointer: Writes bundles, in the first process; None in all others.
        """
        self.folder = shards_path(folder)
        self._world = world
        self._checkpointer = checkpointer
        self._saves = 0

    def agree_on(self, kinds: Collection[CopyKind]) -> list[CopyKind]:
        """Return the copies that the first process wants to be written."""
        wanted = sum(1 << number for number, kind in enumerate(CopyKind) if kind in kinds)
        wanted = self._world.hear_first(wanted)
        return [kind for number, kind in enumerate(CopyKind) if wanted >> number & 1]

    def save_copies(self, copy: Copy, state: TrainingState, kinds: Collection[CopyKind]) -> None:
        """Write the copies of the model that one instant leaves, as bundles.

        Raises:
            SaveError: One could not be written; what it was to replace is whole.
        """
        if self._checkpointer is not None:
            self._checkpointer.write_copies(copy, state, kinds)
            return
        for kind in kinds:
            _pass_on(*pick_contents(copy, state.training_config, kind))

    def save_bundle(self, copy: Copy, state: TrainingState) -> None:
        """Write the last state of the run as its own bundle, which takes the place of the shards.

        Raises:
            SaveError: It could not be written; what was saved before is whole.
        """
        if self._checkpointer is not None:
            self._checkpointer.write_own(copy, state)
            return
        _pass_on(copy.weights, copy.optimizer)

    def save_parts(self, copy: Copy, state: TrainingState) -> None:
        """Have each process write its part, and make all of them what the run goes on from.

        Args:
            copy: The tensors, of which this process holds parts.
            state: Progress.

        Raises:
            SaveError: A process could not write its part; what was saved before is whole.
            ProcessError: Another process has ended, or could not write what one process writes.
        """
        self._saves += 1
        name = f"shards {self._saves}"
        apart = take_apart(
            copy.weights,
            copy.optimizer,
            is_tensor=lambda value: isinstance(value, torch.Tensor),
            identify=lambda tensor: (place_of(tensor), tensor.dtype, tensor.shape),
        )
        writer = ShardsWriter(self.folder)
        with self._world.stage(f"{name} begin"):
            generation = 0
            if self._checkpointer is not None:
                documents = make_documents(self._checkpointer.model, state, copy.optimizer)
                documents[STRUCTURE] = partial(write_tensors, value=apart.content)
                generation = writer.begin(documents)
        place = generation_path(self.folder, self._world.hear_first(generation))
        _write_parts(place, apart.tensors, self._world)
        with raising_save_errors(place):
            records = list_parts(place, self._world.rank)
        said = json.dumps({file: attrs.asdict(record) for file, record in records.items()})
        heard = self._world.exchange(f"{name} parts", said)
        with self._world.stage(f"{name} commit"):
            if self._checkpointer is not None:
                parts = {f: FileRecord(**r) for text in heard for f, r in json.loads(text).items()}
                needs = self._checkpointer.model.requirements.plugins
                record = writer.commit(parts, written_by=WRITTEN_BY, plugins=needs)
                self._checkpointer.note_parts(record)


def _write_parts(place: Path, tensors: Mapping[str, torch.Tensor], world: World) -> None:
    """Write this process's parts of tensors, and flush them to disk.

    Raises:
        SaveError: A process could not, which all of them hear.
    """
    # These take a second to import, and are wanted by runs of several processes alone.
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    planner = DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    try:
        save(
            dict(tensors),
            storage_writer=FileSystemWriter(place),
            planner=planner,
            process_group=world.control,
        )
    except CheckpointException as error:
        rank, (failure, _) = next(iter(error.failures.items()))
        what = f"the part of process {rank} could not be written: {summarize_error(failure)}"
        fix = "see that its disk has room and works, then run the same command again"
        raise SaveError(Problem(str(place), "", what, fix, kind="save")) from error


def _pass_on(weights: Mapping[str, torch.Tensor], optimizer: Mapping[str, Any] | None) -> None:
    """Pass on this process's parts of a bundle, in the order in which its files are written."""
    stored = list_stored(defer_weights(weights))
    if optimizer is not None:
        stored += list_stored(defer_state(optimizer))
    for tensor in stored:
        if isinstance(tensor, DeferredTensor):
            tensor.fetch()
