"""Before the first step, try everything that could otherwise fail after hours."""

from __future__ import annotations

import shutil
from os.path import samestat
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mypt.data.input_files import resolve_inputs
from mypt.data.training_data import to_inputs
from mypt.engine.checkpoints.build import build_tokenizer
from mypt.engine.checkpoints.copies import find_snapshots, list_snapshot_steps
from mypt.engine.checkpoints.write import describe_model, weights_of, write_bundle
from mypt.engine.humanize import short_bytes
from mypt.engine.logging.log_file import check_is_log, log_file_error
from mypt.engine.runtime.fsdp import full_tensor, is_sharded, send_parts
from mypt.format.bundle.copy_name import CopyKind, parse_copy_name
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import DataError, FormatError, Problem, SaveError
from mypt.format.storage import files
from mypt.format.storage.commit import open_for_writing
from mypt.format.tensors.transforms import have_equal_bits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.training import Phase, TrainingConfig, TrainingState

    Weights = Mapping[str, torch.Tensor]


def check_before_training(
    model: LanguageModel,
    loaders: Iterable[GPTDataLoader],
    state: TrainingState,
    optimizer_bytes: int,
    folder: Path | None,
    *,
    decay_step: int | None = None,
    no_lock: bool = False,
    in_parts: bool = False,
) -> None:
    """Check data, tokenizer and disk, the latter with a real save that is read back.

    Args:
        model: The model, on its device.
        loaders: All data sets of the run.
        state: Where it begins.
        optimizer_bytes: What the optimizer's state takes in a file.
        folder: Its bundle, locked; None for a run that saves nothing.
        decay_step: The step at which its learning rate begins to decay; None where it has none.
        no_lock: Whether to go on where the file system has no locks.
        in_parts: Whether each process will save its part; no save is tried then.

    Raises:
        DataError: A data set has ids that the model does not know.
        SaveError: The disk has no room for what the run keeps, or does not keep what is written.
    """
    for loader in loaders:
        _check_data(loader, state)
    if in_parts:
        if folder is not None:
            whole = {
                name: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
                for name, tensor in weights_of(model).items()
            }
            _check_room(whole, state, optimizer_bytes, folder, decay_step)
        return
    if folder is None:
        if is_sharded(model):
            send_parts(weights_of(model), {"state": {}})
        return
    weights = {name: full_tensor(tensor).cpu() for name, tensor in weights_of(model).items()}
    _check_room(weights, state, optimizer_bytes, folder, decay_step)
    _check_save(model, weights, state, folder, no_lock=no_lock)


def check_log_file(log: Path, training: TrainingConfig, folder: Path | None) -> None:
    """Check that no file but a log is appended to.

    Args:
        log: Where the run is to log to; it may not exist yet.
        training: What the run reads.
        folder: Its bundle; None for a run that saves nothing.

    Raises:
        ConfigError: It is an input of the run, a file of its bundles, or not a log.
    """
    if folder is not None and _is_bundle_file(log, folder):
        raise log_file_error(log, "is the place of a file of a checkpoint")
    if files.is_present(log):
        there = log.stat()
        for name, file in _list_inputs(training):
            if files.is_present(file) and samestat(file.stat(), there):
                raise log_file_error(log, f"is an input of this run ({name})")
    check_is_log(log)


def _is_bundle_file(path: Path, folder: Path) -> bool:
    """Return whether the run's bundle, or a copy of it, has a file at a path."""
    place, own = files.real_path(path), files.real_path(folder)
    copy = parse_copy_name(place.parent.name)
    is_copy = copy is not None and own.with_name(copy.model) == own
    in_bundle = place.parent == own or (is_copy and place.parent.parent == own.parent)
    return in_bundle and place.name in (*files.BUNDLE_FILES, files.MANIFEST)


def _list_inputs(training: TrainingConfig) -> Iterator[tuple[str, Path]]:
    """Yield the files that a run reads, with what names them; no shard looks like a log."""
    if training.config_file is not None:
        yield "config_file", Path(training.config_file)
    for name, place in training.eval_sets.items():
        yield f"eval_sets/{name}", Path(place)
    sources: tuple[TrainingConfig | Phase, ...] = (training, *training.curriculum)
    for source in sources:
        yield from _list_texts("input_file", to_inputs(source.input_file))
        yield from _list_texts("mixture", source.mixture)
    yield from _list_texts("val_file", to_inputs(training.val_file))


def _list_texts(field: str, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for name in names:
        if files.is_folder(Path(name)):
            yield from ((field, file.path) for file in resolve_inputs([name]))
        else:
            yield field, Path(name)


def _check_data(loader: GPTDataLoader, state: TrainingState) -> None:
    """Draw a first batch of each split and decode it."""
    training = state.training_config
    for split in loader.splits:
        batch = loader.eval_batch("train" if split == "train" else "val", training.seed, 0)
        if int(batch.x.max()) >= loader.config.vocab_size:
            what = f"holds the id {int(batch.x.max())}, beyond vocab_size"
            fix = "prepare it with the model's tokenizer"
            raise DataError(Problem(loader.fingerprint.source, "", what, fix))
        loader.tokenizer.decode(batch.x[0].tolist())


def _check_room(
    weights: Weights,
    state: TrainingState,
    optimizer_bytes: int,
    folder: Path,
    decay_step: int | None,
) -> None:
    need = _bytes_to_come(weights, state, optimizer_bytes, folder, decay_step)
    free = shutil.disk_usage(folder).free
    if need > free:
        what = f"has {short_bytes(free)} free, but the run will need about {short_bytes(need)}"
        fix = "free space, or keep fewer snapshots with --keep_snapshots"
        raise SaveError(Problem(str(folder.parent), "", what, fix, kind="save.room"))


def _bytes_to_come(
    weights: Weights,
    state: TrainingState,
    optimizer_bytes: int,
    folder: Path,
    decay_step: int | None,
) -> int:
    """Return how many bytes the run's bundles will take beyond what they take now.

    A bundle that is replaced lies beside its successor for a moment.
    """
    values = sum(tensor.numel() for tensor in weights.values())
    size = sum(tensor.nbytes for tensor in weights.values())
    bundle = size + optimizer_bytes
    half = 2 * values
    places = {
        folder: bundle,
        CopyKind.GOLD.path(folder): bundle,
        CopyKind.FP16.path(folder): half,
        **({CopyKind.EMA.path(folder): size} if state.training_config.ema else {}),
    }
    kept = sum(max(0, need - _folder_size(place)) for place, need in places.items())
    return kept + bundle * (1 + _snapshots_to_come(state, folder, decay_step))


def _snapshots_to_come(state: TrainingState, folder: Path, decay_step: int | None) -> int:
    """Return the largest number of snapshots to come at any time, beyond those there now."""
    training, there = state.training_config, find_snapshots(folder, state.run_id)
    spared = decay_step is not None and decay_step not in there and decay_step >= state.step
    steps = [s for s in list_snapshot_steps(training, state.step) if s != decay_step]
    more, keep = sum(step not in there for step in steps), training.keep_snapshots
    if not keep:
        return more + spared
    older = sum(step <= state.step and step != decay_step for step in there)
    return min(more, max(0, keep + 1 - older)) + spared  # the oldest goes after the newest came


def _folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*") if files.is_regular_file(file))


def _check_save(
    model: LanguageModel, weights: Weights, state: TrainingState, folder: Path, *, no_lock: bool
) -> None:
    """Save the model beside its bundle, read it back, and remove it again.

    The optimizer's state goes the same way, and is left out: it would triple the time.
    """
    place = files.beside(folder, ".{}.mypt-preflight")
    shutil.rmtree(place, ignore_errors=True)
    try:
        with open_for_writing(place, no_lock=no_lock) as writer:
            write_bundle(writer, describe_model(model, state), state, weights, None)
        _compare_save(model, weights, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _compare_save(model: LanguageModel, weights: Weights, place: Path) -> None:
    """Read a saved model, and let go of its files: Windows removes none that is mapped."""
    bundle = read_bundle(place, model.plugins.layouts)
    build_tokenizer(bundle.tokenizer, model.plugins)
    try:
        read = bundle.weights()
    except FormatError as error:
        raise _differing_save(place, "") from error
    for name, tensor in weights.items():
        if not have_equal_bits(read[name], tensor.contiguous()):  # NaN is what it is
            raise _differing_save(place, name)


def _differing_save(place: Path, name: str) -> SaveError:
    what, fix = "is not what was written", "check the disk: it does not keep its files"
    return SaveError(Problem(str(place), name, what, fix, kind="save.differs"))
