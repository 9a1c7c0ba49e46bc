"""Open the saved model that a run goes on from, and what is left of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.engine.checkpoints.recovery.candidates import list_candidates
from mypt.engine.checkpoints.recovery.fall_back import fall_back_hint
from mypt.format.bundle.detect import classify
from mypt.format.errors import FormatError, Problem, UsageError
from mypt.format.open import open_checkpoint, recognise
from mypt.format.rules.cross_file import MISSING_FILE
from mypt.format.shards.record import NAME as SHARDED_SAVE
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.engine.checkpoints.recovery.fall_back import FallBack
    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins

# Files of a model, which one that begins in their folder would replace.
_REMAINS = (files.MODEL, files.TRAINING_STATE, files.OPTIMIZER)


def open_saved(
    folder: Path, fall_back: FallBack | None, options: Mapping[str, Any], plugins: Plugins
) -> Opened:
    """Open the model that a run goes on from.

    A bundle takes no options: those of a command that is repeated were for what it began with.

    Args:
        folder: The model.
        fall_back: The copy to go on from instead; None for the model itself.
        options: What the reader of another program's checkpoint has to be told.
        plugins: Where parts and readers are looked up.

    Raises:
        FormatError: It is damaged, or cannot be read.
        PluginError: It has a part of a plugin that is not installed.
        UsageError: A save would replace files of another program.
    """
    path = folder if fall_back is None else fall_back.bundle.folder
    try:
        is_foreign = options and recognise(path, plugins.readers.values())[1] is not None
        opened = open_checkpoint(path, plugins, options if is_foreign else None)
    except OSError as error:
        raise FormatError(files.unreadable_problem(error, str(path))) from error
    if fall_back is not None:
        opened = evolve(opened, training_state=fall_back.state)
    opened.check_flaws()
    _ensure_own_format(opened)
    return opened


def find_missing_optimizer(opened: Opened) -> Problem | None:
    """Return a problem if the optimizer's state, which the training state names, is not there.

    Training goes on with a fresh optimizer then, which is not the run of before.
    """
    state = opened.training_state
    name = None if state is None else state.optimizer_file
    if name is None or name in opened.sizes:
        return None
    if opened.format == SHARDED_SAVE:  # the parts hold it, and without one none of it opens
        return None
    what, fix = "is missing", "restore it, or a fresh optimizer begins"
    if list_candidates(opened.path):
        fix = f"to go on exactly, {fall_back_hint(opened.path)}"
    return Problem(str(opened.path / name), "", what, fix, kind=MISSING_FILE)


def check_whole(opened: Opened, missing: Problem | None) -> None:
    """Raise if a saved model is not whole, also where a run could do without what is damaged.

    Who asks to fall back wants the run of before, and none with a fresh optimizer.

    Args:
        opened: The saved model.
        missing: As `find_missing_optimizer` returned it.

    Raises:
        FormatError: It is not whole.
    """
    if missing is not None:
        raise FormatError(missing)
    opened.need_tokenizer()
    check_tensors(opened)


def check_tensors(opened: Opened) -> None:
    """Compare weights and optimizer state with what was saved; may take seconds.

    Raises:
        FormatError: One is not what was saved, or cannot be read.
    """
    try:
        opened.check()
    except OSError as error:
        raise FormatError(files.unreadable_problem(error, str(opened.path))) from error


def explain_remains(folder: Path) -> Problem | None:
    """Return what is wrong with a folder that holds a part of a saved model, and no checkpoint."""
    remains = [name for name in _REMAINS if files.is_present(folder / name)]
    if not remains:
        return None
    what = f"holds {' and '.join(remains)}, but no config.json"
    fix = "restore it, or remove the folder to train a new model"
    return Problem(str(folder), "", what, fix, kind=MISSING_FILE)


def missing_problem(folder: Path) -> Problem:
    """Describe a model that is not there at all."""
    return Problem(str(folder), "", "is missing", "restore it", kind=MISSING_FILE)


def _ensure_own_format(opened: Opened) -> None:
    """Raise if a save would replace files of another program, such as its `config.json`."""
    if files.is_regular_file(opened.path):
        what = "is a file, where the folder of the model would be written"
        fix = f"name a new model, and its first weights by --init_from_model {opened.path}"
        raise UsageError(Problem(str(opened.path), "", what, fix, kind="checkpoint.foreign"))
    if classify(opened.path) in ("bundle", "version_1"):
        return
    taken = [name for name in files.BUNDLE_FILES if files.is_present(opened.path / name)]
    if taken:
        what = f"is another program's folder, whose {taken[0]} would be written over"
        fix = f"make a bundle of it first: mypt format migrate {opened.path}"
        raise UsageError(Problem(str(opened.path), "", what, fix, kind="checkpoint.foreign"))
