"""The copies of a model that a run keeps next to its bundle: gold, rounded, averaged, numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mypt.format.bundle.copy_name import CopyKind, parse_copy_name
from mypt.format.errors import FormatError, LockedError, SaveError
from mypt.format.storage import files
from mypt.format.storage.generations import committed_document
from mypt.format.storage.remove import remove_bundle, sweep_removed

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.format.errors import Problem


# Names, in messages, of the kinds of which a model has one copy, with a remark on their weights.
_DESCRIBED = {
    CopyKind.GOLD: ("gold", ""),
    CopyKind.FP16: ("half-precision", " (its weights are rounded)"),
    CopyKind.EMA: ("averaged", " (its weights are a mean)"),
}


def find_copies(folder: Path, run_id: str | None = None) -> list[Path]:
    """Find all existing copies of a model: gold, rounded, averaged, then numbered by rising step.

    Args:
        folder: The model.
        run_id: Its run, whose copies count also where they were renamed with it.
    """
    folder = folder if folder.name else folder.absolute()
    single = (find_copy(folder, kind, run_id) for kind in _DESCRIBED)
    numbered = find_numbered_folders(folder).values()
    return [
        *(path for path in single if path is not None),
        *(path for path in numbered if _is_copy(path, folder, run_id)),
    ]


def find_copy(folder: Path, kind: CopyKind, run_id: str | None = None) -> Path | None:
    """Find the one copy of this kind of a model; None if there is none, as `find_copies`."""
    path = kind.path(folder)
    return path if files.is_folder(path) and _is_copy(path, folder, run_id) else None


def _is_copy(path: Path, folder: Path, run_id: str | None) -> bool:
    origin = _find_origin(path)
    return origin is not None and (origin.model == folder.name or origin.is_of_run(run_id))


def name_notices(folder: Path, state: TrainingState | None) -> tuple[str, ...]:
    """Return a notice if a model is trained in the folder of another's gold or fp16 copy.

    Args:
        folder: The model.
        state: The state that it resumes from; None for a new model.
    """
    name = parse_copy_name(folder.name)
    if name is None or name.kind not in _DESCRIBED:
        return ()
    origin, (named, weights) = name.model, _DESCRIBED[name.kind]
    if state is None:
        what = f"is where a model named {origin} keeps its {named} copy"
        meaning = f"{origin} cannot be trained while it exists. Better choose another name"
    elif state.copy_of == origin:
        what = f"is the {named} copy of {origin}{weights}, and becomes a separate model"
        better = f"mypt train --model_name NEW --init_from_model {folder.name}"
        meaning = f"{origin} cannot be trained from then on. Better: {better}"
    else:
        return ()
    return (f"{folder} {what}; {meaning}",)


def is_snapshot_due(training: TrainingConfig, decay_step: int | None, step: int) -> bool:
    """Return whether a run makes a numbered copy at a step.

    Args:
        training: Hyperparameters of the run.
        decay_step: The step at which its learning rate begins to decay; None where it has none.
        step: Updates done.
    """
    interval = training.snapshot_interval
    return step > 0 and (step == decay_step or (interval > 0 and step % interval == 0))


def list_snapshot_steps(
    training: TrainingConfig, step: int, decay_step: int | None = None
) -> list[int]:
    """List the steps after `step` at which a run makes a numbered copy, kept or temporary."""
    last, interval = training.max_iters, training.snapshot_interval
    steps = {*range(interval, last + 1, interval)} if interval else set[int]()
    if decay_step is not None:
        steps.add(decay_step)
    return sorted(s for s in steps if s > step)


def find_snapshots(folder: Path, run_id: str | None = None) -> dict[int, Path]:
    """Find the numbered copies of a model, by rising step.

    A folder with such a name that is a separate model, or cannot be read, is left out.

    Args:
        folder: The model.
        run_id: The run whose copies to find; None for all.
    """
    return {
        step: path
        for step, path in find_numbered_folders(folder).items()
        if (origin := _find_origin(path)) is not None
        and (origin.model == folder.name if run_id is None else origin.is_of_run(run_id))
    }


def find_numbered_folders(folder: Path) -> dict[int, Path]:
    """Find the folders named like numbered copies of a model, by rising step."""
    found = {}
    for path in folder.parent.iterdir():
        name = parse_copy_name(path.name)
        if name is None or name.model != folder.name or name.step is None:
            continue
        if files.is_folder(path):
            found[name.step] = path
    return dict(sorted(found.items()))


def prune_snapshots(
    folder: Path,
    keep: int,
    step: int,
    run_id: str | None = None,
    *,
    spared: int | None = None,
    no_lock: bool = False,
) -> tuple[Problem, ...]:
    """Remove the oldest numbered copies of a model until `keep` are left; 0 keeps all.

    One to whose folder somebody has added a file of their own, that is just being trained on or
    cannot be removed, is left as it is, and tried again the next time. Those beyond `step` are of
    a run before this one, and do not count.

    Args:
        folder: The model.
        keep: How many to keep.
        step: The step that was saved last.
        run_id: The run whose copies to remove; None for those of all.
        spared: The step of a copy that stays, and does not count; None for none.
        no_lock: Whether to remove them also where the file system has no locks.

    Returns:
        What is wrong with those that could not be removed; nothing of one that is in use.
    """
    sweep_removed(folder.parent, CopyKind.NUMBERED.path(folder).name)
    found = find_snapshots(folder, run_id)
    there = [path for number, path in found.items() if number <= step and number != spared]
    problems: list[Problem] = []
    for path in there[:-keep] if keep else ():
        try:
            remove_bundle(path, no_lock=no_lock)
        except LockedError:
            continue
        except (FormatError, SaveError) as error:  # no reason to end a run
            problems.extend(error.problems)
    return tuple(problems)


def _find_origin(path: Path) -> CopyOrigin | None:
    try:
        return read_copy_origin(path)
    except (FormatError, OSError):
        return None


class CopyOrigin(NamedTuple):
    """What a copy is of: the name of a model (None if it is no copy), a run, and a step of it."""

    model: str | None
    run_id: str | None
    step: int | None

    def is_of_run(self, run_id: str | None) -> bool:
        """Return whether it is a copy that a run made, whatever its model is called today."""
        return self.model is not None and run_id is not None and self.run_id == run_id


def read_copy_origin(folder: Path) -> CopyOrigin:
    """Return what a bundle is a copy of.

    Raises:
        FormatError: Its training state is damaged.
        OSError: It cannot be read.
    """
    state = committed_document(folder, files.TRAINING_STATE) or {}
    return CopyOrigin(state.get("copy_of"), state.get("run_id"), state.get("step"))
