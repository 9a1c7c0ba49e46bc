"""What a run goes on from where there may be a bundle, sharded saves, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.engine.checkpoints.recovery.condition import read_recorded_state, step_of
from mypt.format.errors import ConfigError, FormatError, Problem, SaveError, UsageError
from mypt.format.open import is_model
from mypt.format.shards.places import holds_shards, model_path, shards_path
from mypt.format.shards.record import read_state

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.documents.training import TrainingConfig, TrainingState


@frozen
class NewestSave:
    """What a run goes on from.

    Attributes:
        path: The folder of the model, or that of its shards.
        notices: What to tell the user, a line each.
    """

    path: Path
    notices: tuple[str, ...] = ()


def find_newest(folder: Path) -> NewestSave:
    """Return what a run goes on from: the bundle, or the shards where these are further on.

    Args:
        folder: The model; it may be missing.

    Raises:
        FormatError: The shards are damaged, or are those of another run than the bundle.
        UsageError: The folder is that of another model's shards.
    """
    if holds_shards(folder) and not is_model(folder):
        name = model_path(folder).name
        what = f"is where the run of {name} saves in parts, and no model"
        fix = f"go on with that run: mypt train --model_name {name}; or name another model"
        raise UsageError(Problem(str(folder), "", what, fix, kind="shards.name"))
    shards = shards_path(folder)
    if not holds_shards(shards):
        return NewestSave(folder)
    state = read_state(shards)
    if not is_model(folder):
        return NewestSave(shards)
    own = read_recorded_state(folder)
    if own.get("run_id") != state.get("run_id"):
        whose = "is of another run than" if own else "may be of another run than what is left of"
        what, fix = f"{whose} {folder}", "move one of the two away"
        raise FormatError(Problem(str(shards), "", what, fix, kind="shards.run"))
    steps = {path: step_of(held) for path, held in ((folder, own), (shards, state))}
    newest = max(steps, key=lambda path: steps[path])  # of the same step, the bundle
    said = " and ".join(f"{path} is at step {step}" for path, step in steps.items())
    return NewestSave(newest, (f"{said}: going on from {newest}",))


def ensure_place_for_shards(folder: Path) -> None:
    """Raise if another model has the name of the folder in which the parts of this one go.

    Raises:
        SaveError: One has; nothing has been changed.
    """
    shards = shards_path(folder)
    if is_model(shards):
        what = f"is a model of its own, and the parts of {folder.name} would be saved there"
        fix = "rename one of the two models, or leave --sharded_saves out"
        raise SaveError(Problem(str(shards), "", what, fix, kind="shards.name"))


def ensure_shards_replaceable(folder: Path, state: TrainingState) -> None:
    """Raise if a save would take the place of shards that are not of its run, or are further on.

    Args:
        folder: The model, whose lock is held.
        state: The state of the run that is to save, at its first step.

    Raises:
        SaveError: It would; nothing has been changed.
        FormatError: The shards are damaged.
    """
    shards = shards_path(folder)
    if not holds_shards(shards):
        return
    held = read_state(shards)
    is_own = held.get("run_id") == state.run_id
    if is_own and step_of(held) <= state.step:
        return
    whose = f"this run at step {step_of(held)}" if is_own else "another run"
    what = f"is the sharded save of {whose}, and a save of {folder} would take its place"
    fix = "move it away, name another folder, or pass --overwrite (overwrite=True)"
    raise SaveError(Problem(str(shards), "", what, fix, kind="replace"))


def check_sharded_saves(training: TrainingConfig) -> None:
    """Raise if the parts of a model that is not split are to be saved.

    Raises:
        ConfigError: They are.
    """
    if training.sharded_saves and not training.shard:
        what, fix = "saves the parts of a model that --shard splits", "give --shard too"
        raise ConfigError(Problem("", "sharded_saves", what, f"{fix}, or leave it out"))
