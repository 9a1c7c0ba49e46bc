"""Reader of a sharded save: a run's own state of now, in parts, and not yet a bundle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.readers.contract import ReaderFactory
from mypt.format.shards.places import holds_shards, model_path
from mypt.format.shards.record import NAME, STRUCTURE, open_shards
from mypt.format.shards.structure import put_together
from mypt.format.storage import files
from mypt.format.storage.files import is_present
from mypt.format.tensors.torch_dcp.dcp_folder import StoredTensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load


def recognises(path: Path) -> bool:
    """Return whether this is a folder of shards, sound or not."""
    return holds_shards(path)


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:  # noqa: ARG001
    """Read the generation that counts, whole: nothing is left out and nothing converted.

    Raises:
        FormatError: A file is missing, or is not what was saved; or a run has saved meanwhile.
    """
    shards = open_shards(path)
    shards.check(whole=False)
    return shards.read(partial(_read_generation, path, load))


def _read_generation(path: Path, load: Load, generation: Path) -> Checkpoint:
    held = load(generation)["tensors"]
    tensors = held.defer_all() if isinstance(held, StoredTensors) else held
    weights, optimizer = put_together(load(generation / STRUCTURE), tensors)
    return Checkpoint(
        config=_read_document(generation / files.CONFIG) or {},
        tokenizer=_read_document(generation / files.TOKENIZER),
        training_state=_read_document(generation / files.TRAINING_STATE),
        tensors=weights,
        optimizer=optimizer,
        report=(
            f"a sharded save of {model_path(path).name}, in parts that its processes wrote; to make"
            f" a bundle of it: mypt format migrate {path}",
        ),
    )


def _read_document(path: Path) -> dict[str, Any] | None:
    return files.read_document(path, str(path))[0] if is_present(path) else None


READER = ReaderFactory(NAME, recognises=recognises, read=read, takes_infos=True)
