"""What a save may replace: what is of the model's own training, unless that is further on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.engine.checkpoints.copies import (
    find_numbered_folders,
    list_snapshot_steps,
    read_copy_origin,
)
from mypt.engine.evaluation.divergence import are_finite
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.bundle.detect import classify
from mypt.format.documents.convert import to_document
from mypt.format.errors import Problem, SaveError, UsageError
from mypt.format.open import is_model
from mypt.format.readers.mypt_file import find_file
from mypt.format.storage import files
from mypt.format.storage.generations import committed_document, committed_files

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import torch

    from mypt.engine.history import History
    from mypt.format.documents.training import TrainingState

_FIX = "name another folder, or pass overwrite=True"
KIND = "replace"


@frozen(kw_only=True)
class _Saved:
    """What a folder holds.

    Attributes:
        names: Files of the bundle.
        digest: SHA-256 of its weights, by the manifest; None without one.
        state: Its training state, unchecked; empty without one.
        has_legacy: Whether a file of MyPT's first releases lies there.
    """

    names: Collection[str]
    digest: str | None
    state: Mapping[str, Any]
    has_legacy: bool

    @property
    def is_untrained(self) -> bool:
        """Whether there is nothing that training made, such as a config alone."""
        return not self.has_legacy and not {*self.names} - {files.CONFIG, files.TOKENIZER}

    @property
    def step(self) -> int:
        step = self.state.get("step")
        return step if isinstance(step, int) else 0

    def is_beginning_of(self, state: TrainingState | None) -> bool:
        """Return whether nothing has been trained there yet, beyond what `state` came from too."""
        lineage = [] if state is None else to_document(state)["lineage"]
        is_exact = self.state.get("exact", True)  # else its first weights are from elsewhere
        begins = self.state.get("step") == 0 and is_exact
        return bool(begins and self.state.get("lineage", []) == lineage)

    def describe(self) -> str:
        run = self.state.get("run_id")
        if files.TRAINING_STATE not in self.names:
            return "weights of which this model does not know"
        return f"a model at step {self.step}" + (f" of the run {str(run)[:8]}" if run else "")


def ensure_replaceable(
    folder: Path, history: History, state: TrainingState | None, *, has_optimizer: bool
) -> None:
    """Raise if a save would replace what took training and is not of the model's own history.

    A model may replace what it was read from or saved as, and what its own run saved, unless that
    is further on. No save leaves out a training state or an optimizer state that is there.

    Args:
        folder: Where the model is to be saved; its lock is held.
        history: The history of the model.
        state: The training state to be saved; None for none.
        has_optimizer: Whether an optimizer state is to be saved.

    Raises:
        SaveError: With what is there; nothing has been changed.
        FormatError: What is there is damaged.
    """
    if not is_model(folder):
        return
    saved = _read_saved(folder)
    foreign = _foreign_problem(folder)
    if foreign is None and (saved.is_untrained or saved.is_beginning_of(state)):
        return
    problem = (
        foreign
        or _history_problem(folder, saved, history, state)
        or _loss_problem(folder, saved, state, has_optimizer=has_optimizer)
    )
    if problem is not None:
        raise SaveError(problem)


def ensure_finite(folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise if a save would replace a model by weights that are NaN or infinite.

    Args:
        folder: Where they are to be saved; its lock is held.
        weights: By name.

    Raises:
        SaveError: They are not finite, and there is a model; nothing has been changed.
    """
    if is_model(folder) and not are_finite(weights.values()):
        what = "holds a model, which weights that are NaN or infinite would replace"
        raise SaveError(Problem(str(folder), "", what, _FIX, kind=KIND))


def _read_saved(folder: Path) -> _Saved:
    manifest, paths = committed_files(folder)
    record = manifest.files.get(files.MODEL) if manifest else None
    return _Saved(
        names=paths.keys(),
        digest=None if record is None else record.sha256,
        state=committed_document(folder, files.TRAINING_STATE) or {},
        has_legacy=find_file(folder) is not None,
    )


def _foreign_problem(folder: Path) -> Problem | None:
    if classify(folder) != "other" or not files.is_present(folder / files.CONFIG):
        return None
    what = "is another program's folder, whose config.json would be replaced"
    return Problem(str(folder), "", what, _FIX, kind=KIND)


def _history_problem(
    folder: Path, saved: _Saved, history: History, state: TrainingState | None
) -> Problem | None:
    state = history.state if state is None else state
    run_id, step = (None, 0) if state is None else (state.run_id, state.step)
    is_own_run = run_id is not None and saved.state.get("run_id") == run_id
    is_behind = saved.step > step
    if is_own_run and is_behind:
        what = f"is at step {saved.step} already, and this model is at step {step}"
        fix = f"load it to go on from there, {_FIX}"
        return Problem(str(folder), "", what, fix, kind=KIND)
    if is_own_run or (_is_origin(folder, saved, history) and not is_behind):
        return None
    what = f"holds {saved.describe()}, which this one would replace"
    return Problem(str(folder), "", what, _FIX, kind=KIND)


def _is_origin(folder: Path, saved: _Saved, history: History) -> bool:
    """Return whether a folder still holds what the model was read from or saved as."""
    if saved.digest is not None:
        return saved.digest in history.digests
    origin, place = history.path, files.real_path(folder)
    return origin is not None and place in (origin, origin.parent)


def _loss_problem(
    folder: Path, saved: _Saved, state: TrainingState | None, *, has_optimizer: bool
) -> Problem | None:
    if state is None and files.TRAINING_STATE in saved.names:
        lost = [name for name in (files.TRAINING_STATE, files.OPTIMIZER) if name in saved.names]
        what = f"would lose {' and '.join(lost)} of step {saved.step}"
        fix = f"name another folder, save with step={saved.step}, or pass overwrite=True"
        return Problem(str(folder), "", what, fix, kind=KIND)
    if not has_optimizer and files.OPTIMIZER in saved.names:
        what, fix = "would be deleted", f"pass optimizer_state, {_FIX}"
        return Problem(str(folder / files.OPTIMIZER), "", what, fix, kind=KIND)
    return None


def ensure_copies_replaceable(
    folder: Path, state: TrainingState, *, resumed: bool, decay_step: int | None = None
) -> None:
    """Raise if a copy of a run would replace another model, or a copy of another run.

    Args:
        folder: The run's own bundle.
        state: Its state, at its first step.
        resumed: Whether the run goes on; its copies may then be older than the names of runs.
        decay_step: The step at which its learning rate begins to decay; None where it has none.

    Raises:
        UsageError: With the first such copy.
    """
    steps = set(list_snapshot_steps(state.training_config, state.step, decay_step))
    kinds = [CopyKind.GOLD, CopyKind.FP16, *([CopyKind.EMA] if state.training_config.ema else [])]
    places = {str(kind): kind.path(folder) for kind in kinds}
    places |= {
        f"step {step}": path
        for step, path in find_numbered_folders(folder).items()
        if step in steps
    }
    for kind, place in places.items():
        if not is_model(place):
            continue
        origin = read_copy_origin(place)
        is_nameless = resumed and origin.run_id is None
        is_own_name = origin.model == folder.name
        if origin.is_of_run(state.run_id) or (is_own_name and (is_nameless or origin.step == 0)):
            continue
        if not is_own_name:
            owner = "a model of its own" if origin.model is None else f"a copy of {origin.model}"
            what = f"is {owner}, and {folder.name} would write its {kind} copy there"
        else:
            what = f"is the {kind} copy of another run of {folder.name}, at its step {origin.step}"
        fix = (
            f"rename it, train {folder.name} under another name, or pass --overwrite"
            " (overwrite=True) to replace it"
        )
        raise UsageError(Problem(str(place), "", what, fix, kind="copy"))
