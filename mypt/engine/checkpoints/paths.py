"""Paths of a model's files, by its name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.config.folders import CHECKPOINTS, LOGS
from mypt.format.bundle.copy_name import parse_copy_name
from mypt.format.errors import Problem, UsageError, suggestion
from mypt.format.shards.places import holds_shards, shards_path
from mypt.format.storage import files
from mypt.format.storage.files import ensure_basename, is_folder, is_present, is_regular_file
from mypt.format.storage.save_errors import explain_no_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypt.format.documents.training import TrainingConfig
    from mypt.format.opened import Opened

_FORBIDDEN = frozenset('/\\:*?"<>|')
# What Windows takes for a device, whatever follows a dot, and what it cuts off a name.
_NO_WINDOWS_NAME = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?|.*\.",
    re.IGNORECASE,
)
_MAX_NAME_BYTES = 200
_MOST_NAMED = 5  # of the models that are there instead of one that is not


def model_dir(model_name: str) -> Path:
    """Return `checkpoints/<model_name>`.

    A folder that is there has its name already, if this system has it.

    Raises:
        UsageError: The name is not a valid folder name on every system.
    """
    if Path(model_name).parent == CHECKPOINTS:
        what, fix = "is a path", f"use only the name: {Path(model_name).name}"
        raise UsageError(Problem("", "model_name", f"`{model_name}` {what}", fix, kind="name"))
    bad = next((c for c in model_name if c in _FORBIDDEN or not c.isprintable()), None)
    if bad is not None:
        raise _name_error(model_name, f"contains {bad!r}")
    if not model_name or model_name.startswith(".") or model_name.strip() != model_name:
        raise _name_error(model_name, "is empty, or begins with a dot, or has spaces around it")
    if len(model_name.encode()) > _MAX_NAME_BYTES:
        raise _name_error(model_name[:20] + "...", f"is longer than {_MAX_NAME_BYTES} bytes")
    folder = CHECKPOINTS / model_name
    if _NO_WINDOWS_NAME.fullmatch(model_name) and not is_folder(folder):
        raise _name_error(model_name, "is a name that no folder can have on Windows")
    if model_name.startswith("-") and not is_folder(folder):
        raise _name_error(model_name, "begins with a dash, as options of commands do")
    return folder


def check_model_to_begin(model_name: str, *, has_data: bool) -> None:
    """Check that a name that no saved model has was meant for a new model.

    Raises:
        UsageError: It is a file, or there is nothing to train a new model on.
    """
    if is_regular_file(Path(model_name)) and (not has_data or Path(model_name).suffix):
        what = f"`{model_name}` is a file, and not the name of a model in {CHECKPOINTS}/"
        fix = f"name the new model, and its first weights by --init_from_model {model_name}"
        raise UsageError(Problem("", "model_name", what, fix, kind="name"))
    if not has_data:
        near = suggestion(model_name, _list_names(CHECKPOINTS))
        what = (
            f"there is no model `{model_name}` in {CHECKPOINTS}/{near}, and no data for a new one"
        )
        fix = "name a text by --input_file (stdlib: the Python standard library) or --dataset_dir"
        raise UsageError(Problem("", "", what, fix, kind="data"))


def log_file_of(training: TrainingConfig, model_name: str) -> Path:
    """Return the log of a run: the configured one, or `logs/train/<model_name>_eval.jsonl`."""
    if training.log_file is not None:
        return Path(training.log_file)
    return LOGS / f"{model_name}_eval.jsonl"


def log_file_beside(log: Path, run_id: str) -> Path:
    """Return the log of a run where another run of a model of that name writes to `log`."""
    return log.with_name(f"{log.stem}_{run_id[:8]}{log.suffix}")


def find_named(path_or_name: str | Path) -> Path:
    """Return a path if it exists, or else the model of that name if it does, or else the path.

    It ends in a name, by which its copies and what else lies beside it are found.
    """
    path = Path(path_or_name)
    named = CHECKPOINTS / path
    is_named = _is_name(path_or_name) and not is_present(path) and is_present(named)
    return named if is_named else ensure_basename(path)


def expected_place(path_or_name: str | Path) -> Path:
    """Return where a checkpoint would be, by its path or its name, also where nothing is."""
    path = find_named(path_or_name)
    return path if is_present(path) or not _is_name(path_or_name) else CHECKPOINTS / path


def is_unwritten(folder: Path) -> bool:
    """Return whether a model has been saved in parts alone: its folder holds a lock at most."""
    if is_present(folder) and not (is_folder(folder) and _shows_nothing(folder)):
        return False
    return holds_shards(shards_path(folder))


def _shows_nothing(folder: Path) -> bool:
    return all(path.name.startswith(".") for path in folder.iterdir())


def list_models() -> list[str]:
    """Return the names of the models in `checkpoints/`, their copies too, sorted.

    What this user cannot look into, or is gone meanwhile, is left out.
    """
    found = (CHECKPOINTS / name for name in _list_names(CHECKPOINTS))
    return [path.name for path in found if _holds(path, _is_model)]


def find_checkpoint(path_or_name: str | Path, legacy_checkpoint: str | None = None) -> Path:
    """Find a checkpoint by its path, or by its name in `checkpoints/`.

    A folder with neither weights nor a config.json, such as the data of a run, does not hide the
    model of that name.

    Args:
        path_or_name: A path, or the name of a model.
        legacy_checkpoint: A file in the model's folder to use instead of mypt's choice.

    Raises:
        UsageError: There is no such checkpoint.
    """
    path = _find_path(path_or_name)
    if legacy_checkpoint is None:
        return path
    if not is_regular_file(path / legacy_checkpoint):
        there = ", ".join(sorted(file.name for file in path.glob("*.pt"))) or "no .pt files"
        what = f"contains no file `{legacy_checkpoint}`; available: {there}"
        raise UsageError(Problem(str(path), "", what, "name one of these", kind="checkpoint"))
    return path / legacy_checkpoint


def with_base(opened: Opened, base: str | Path | None) -> Opened:
    """Return an adapter whose base is where a user says.

    Args:
        opened: The adapter.
        base: Path or name of its base; None to look for it.

    Raises:
        UsageError: There is no such checkpoint, or what was opened is no adapter.
    """
    if base is None:
        return opened
    if opened.config.adapter is None:
        what, fix = f"is for an adapter, and {opened.path} is a whole model", "leave it out"
        raise UsageError(Problem("", "base", what, fix, kind="adapter.base"))
    return evolve(opened, base_path=find_checkpoint(base))


def _find_path(path_or_name: str | Path) -> Path:
    if path_or_name == "":
        what, fix = "the name of a checkpoint is empty", "pass a name or a path"
        raise UsageError(Problem("", "", what, fix, kind="checkpoint.missing"))
    path = find_named(path_or_name)
    named = CHECKPOINTS / path
    if _is_name(path_or_name) and is_present(named) and is_folder(path) and not _has_model(path):
        path = named
    if is_present(path) and not is_unwritten(path):
        return path
    raise UsageError(_missing_problem(path_or_name, path))


def _is_name(path_or_name: str | Path) -> bool:
    name = Path(path_or_name).name
    return isinstance(path_or_name, str) and name == path_or_name and name not in ("", "..")


def _is_model(path: Path) -> bool:
    return is_regular_file(path) or _has_model(path)


def _has_model(folder: Path) -> bool:
    return any(
        path.name == files.CONFIG or path.suffix.lower() in files.WEIGHTS
        for path in folder.iterdir()
    )


def _missing_problem(path_or_name: str | Path, path: Path) -> Problem:
    """Describe a name or a path where there is nothing, with what there is instead."""
    is_here = is_present(path) or not _is_name(path_or_name)
    shards = shards_path(path if is_here else CHECKPOINTS / path)
    if path.name and holds_shards(shards):
        what = f"there is no checkpoint `{path_or_name}` yet: its run saves in parts, to {shards}"
        fix = f"name that folder, or make a bundle of it: mypt format migrate {shards}"
        return Problem("", "", what, fix, kind="checkpoint.missing")
    link = next((place for place in (path, CHECKPOINTS / path) if place.is_symlink()), None)
    if link is not None and (why := explain_no_folder(link)):
        return Problem("", "", *why, kind="checkpoint.missing")
    is_here = _is_name(path_or_name) or not is_folder(path.parent)
    folder = CHECKPOINTS if is_here else path.parent
    names = _list_names(folder)
    near = suggestion(path.name, names)
    place = f"as a path or in {CHECKPOINTS}/" if folder == CHECKPOINTS else f"in {folder}"
    what = f"there is no checkpoint `{path_or_name}`, {place}{near}"
    models = [name for name in names if not _is_copy_name(name, names)]
    fix = f"name one of: {', '.join(models[:_MOST_NAMED])}"
    if len(models) > _MOST_NAMED:
        fix += ", ..."
    fix += f"; list them all: mypt list{'' if folder == CHECKPOINTS else f' {folder}'}"
    if not models:
        fix = _explain_training(path.name) if folder == CHECKPOINTS else "name a path that exists"
    return Problem("", "", what, fix, kind="checkpoint.missing")


def _explain_training(name: str) -> str:
    """Return how to train a model where there is none, or why none can be there."""
    if why := explain_no_folder(CHECKPOINTS):
        return "; ".join(why)
    data = "--input_file input.txt --config_file demo"
    return f"train one with: mypt train --model_name {shlex.quote(name)} {data}"


def _list_names(folder: Path) -> list[str]:
    """Return the names of the folders and files of weights in a folder, sorted."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        path.name
        for path in paths
        if path.suffix.lower() in files.WEIGHTS or _holds(path, Path.is_dir)
    ]


def _holds(path: Path, condition: Callable[[Path], bool]) -> bool:
    """Return whether a path meets a condition; not if it cannot be looked into."""
    try:
        return condition(path)
    except OSError:
        return False


def _is_copy_name(name: str, models: Sequence[str]) -> bool:
    """Return whether a folder looks like the gold, half-precision or numbered copy of another."""
    copy = parse_copy_name(name)
    return copy is not None and copy.model in models


def _name_error(name: str, what: str) -> UsageError:
    fix = "use letters, digits, dots, dashes and underscores"
    return UsageError(Problem("", "model_name", f"`{name}` {what}", fix, kind="name"))
