"""Check a model and all its copies: what is damaged, and what can be gone on from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from attrs import evolve, frozen

from mypt.api.argument_rules import PLUGINS
from mypt.engine.checkpoints.copies import find_numbered_folders
from mypt.engine.checkpoints.paths import (
    expected_place,
    find_checkpoint,
    is_unwritten,
    log_file_of,
)
from mypt.engine.checkpoints.recovery.candidates import list_candidates
from mypt.engine.checkpoints.recovery.condition import (
    UNWRITTEN,
    are_damage,
    examine_condition,
    read_recorded_state,
)
from mypt.engine.logging.log_file import find_end
from mypt.format.bundle.copy_name import SINGLE, CopyKind
from mypt.format.errors import FormatError, MyptError, Problem, SaveError, format_count
from mypt.format.open import open_checkpoint, recognise
from mypt.format.readers.unread.dataset_folder import explain_dataset
from mypt.format.rules.arguments import PATH, checked
from mypt.format.rules.cross_file import MISSING_FILE
from mypt.format.shards.places import holds_shards, shards_path
from mypt.format.storage.files import is_folder, is_present
from mypt.format.storage.leftovers import find_leftovers
from mypt.format.storage.succession import find_aside
from mypt.format.validate import validate
from mypt.plugins.contracts.sink import RunInfo
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.format.documents.training import TrainingState

MODEL, ASIDE, SHARDS = "model", "set aside", "shards"
EXACTLY, INEXACTLY = "exactly", "not exactly"


@frozen(kw_only=True)
class _Row:
    """A checkpoint of the report; the fields but `state` are those of its JSON object."""

    path: Path
    kind: str
    step: int | None
    generate: bool = False
    train: str | None = None
    doubts: tuple[str, ...] = ()
    remark: str = ""
    problems: tuple[Problem, ...] = ()
    edits: tuple[Problem, ...] = ()
    state: TrainingState | None = None

    @property
    def is_whole(self) -> bool:
        return self.generate and not self.problems and not self.edits

    @property
    def is_damaged(self) -> bool:
        return are_damage(self.problems)

    def describe(self) -> dict[str, Any]:
        """Return its JSON object."""
        fields = attrs.asdict(self, recurse=False, filter=lambda field, _: field.name != "state")
        return {
            **fields,
            "path": str(self.path),
            "whole": self.is_whole,
            "damaged": self.is_damaged,
            "doubts": list(self.doubts),
            "problems": [attrs.asdict(problem) for problem in self.problems],
            "edits": [attrs.asdict(edit) for edit in self.edits],
        }


@checked(path_or_name=PATH, plugins=PLUGINS)
def check_model(path_or_name: str | Path, *, plugins: Plugins | None = None) -> dict[str, Any]:
    """Check a model and all its copies, checksums included, and what runs have left beside them.

    Each file is read a chunk at a time; nothing is changed.

    Args:
        path_or_name: A path, or the name of a model in `checkpoints/`, also of one that is gone and
            has left copies.
        plugins: Where architecture parts are looked up; by default all that are installed.

    Returns:
        A JSON object. `path`; `whole`, whether the model itself is; `checkpoints`, the model and
        then its copies, the newest step first, each with `path`, `kind` ("model", "step", "gold",
        "fp16", "ema", "shards" or "set aside"), `step`, `whole`, `damaged` (whether a copy of its
        files would mend it; what this mypt cannot read and what was edited is neither whole nor
        damaged), `generate` (whether its weights can be used), `train` (whether training goes on
        from it: "exactly", "not exactly", or None for not at all), `doubts` (why not exactly),
        `remark`, `problems` and `edits` (what was edited by hand since the save), each an object of
        the fields of `Problem`; `fall_back`, the path of the copy that `--fall_back` takes, None
        where none serves or none is needed; `leftovers` of interrupted processes, and `log`, what
        the end of the log tells, both as problems that are notes. What is not known is None.

    Raises:
        UsageError: There is no such checkpoint, and no copy of one.
        FormatError: It is a data set.
        ConfigError: An argument is of another type.
    """
    plugins = load_plugins() if plugins is None else plugins
    folder = expected_place(path_or_name)
    shards = shards_path(folder)
    if not is_unwritten(folder) and (is_present(folder) or not list_candidates(folder)):
        folder = find_checkpoint(path_or_name)
        _check_no_dataset(folder, plugins)
    model = _examine_model(folder, plugins)
    copies = [_examine_copy(path, folder, plugins) for path in _list_copies(folder)]
    if holds_shards(shards):
        copies.append(_examine_shards(shards, model, plugins))
    copies.sort(key=lambda row: (row.kind == ASIDE, -(row.step or 0)))
    others = (ASIDE, SHARDS)
    able = [row for row in copies if row.train and row.kind not in others and not row.remark]
    best = min(able, key=lambda row: bool(row.problems), default=None)
    is_needed = best is not None and model.is_damaged
    places = dict.fromkeys([folder, shards, *(row.path for row in copies)])
    return {
        "path": str(folder),
        "whole": model.is_whole,
        "checkpoints": [row.describe() for row in (model, *copies)],
        "fall_back": str(best.path) if best is not None and is_needed else None,
        "leftovers": [attrs.asdict(note) for place in places for note in find_leftovers(place)],
        "log": [attrs.asdict(note) for note in _examine_log(folder, model.state)],
    }


def _check_no_dataset(path: Path, plugins: Plugins) -> None:
    """Raise if there is a data set instead of a model, and no copy of one beside it."""
    is_known = recognise(path, plugins.readers.values()) != ("other", None)
    dataset = None if is_known or list_candidates(path) else explain_dataset(path)
    if dataset is not None:
        raise FormatError(dataset)


def _examine_model(folder: Path, plugins: Plugins) -> _Row:
    missing = None
    if is_unwritten(folder):
        what, fix = "is not written yet: its run saves in parts", "train on, or migrate these"
        missing = Problem(str(folder), "", what, fix, kind=UNWRITTEN)
    elif not is_present(folder):
        missing = Problem(str(folder), "", "is missing", "restore it", kind=MISSING_FILE)
    if missing is not None:
        return _Row(path=folder, kind=MODEL, step=None, problems=(missing,))
    if recognise(folder, plugins.readers.values())[1] is None:
        return _examine_bundle(folder, MODEL, plugins)
    return _examine_foreign(folder, plugins)


def _examine_bundle(folder: Path, kind: str, plugins: Plugins, remark: str = "") -> _Row:
    found = examine_condition(folder, plugins)
    how = INEXACTLY if found.doubts else EXACTLY
    return _Row(
        path=folder,
        kind=kind,
        step=found.step,
        generate=found.can_generate,
        train=how if found.can_train else None,
        doubts=found.doubts if found.can_train else (),
        remark=remark,
        problems=found.problems,
        edits=found.edits,
        state=None if found.bundle is None else found.bundle.training_state,
    )


def _examine_foreign(path: Path, plugins: Plugins) -> _Row:
    """Examine a checkpoint that is no bundle of today."""
    readers, layouts = tuple(plugins.readers.values()), plugins.layouts
    found = validate(path, layouts, readers, settings=plugins.settings, checksums=True)
    problems = tuple(problem for problem in found if problem.severity == "error")
    try:
        opened = open_checkpoint(path, plugins)
    except MyptError as error:
        problems = problems or error.problems
        return _Row(path=path, kind=MODEL, step=None, problems=problems)
    state = opened.training_state
    can_train = state is not None and opened.tokenizer is not None and not problems
    return _Row(
        path=path,
        kind=MODEL,
        step=None if state is None else state.step,
        generate=all(problem in opened.flaws for problem in problems),
        train=(INEXACTLY if opened.doubts else EXACTLY) if can_train else None,
        doubts=opened.doubts if can_train else (),
        problems=problems,
    )


def _examine_shards(shards: Path, model: _Row, plugins: Plugins) -> _Row:
    """Examine the sharded saves of a model, of which training goes on from the later ones."""
    row = evolve(_examine_foreign(shards, plugins), kind=SHARDS)
    is_later = row.step is not None and row.step > (-1 if model.step is None else model.step)
    what = "training goes on from it" if is_later else "no later than the model: not needed"
    how = f"; a bundle of it: mypt format migrate {shards}" if is_later else ""
    return evolve(row, remark=what + how)


def _list_copies(folder: Path) -> Iterator[Path]:
    """Yield all folders beside a model that are named like copies of it, or were set aside."""
    if is_folder(folder.parent):
        yield from find_numbered_folders(folder).values()
        singles = (kind.path(folder) for kind in SINGLE)
        yield from (path for path in singles if is_folder(path))
        yield from find_aside(folder)


def _examine_copy(path: Path, folder: Path, plugins: Plugins) -> _Row:
    kinds = {kind.path(folder): kind for kind in SINGLE}
    kind = ASIDE if path in find_aside(folder) else str(kinds.get(path, CopyKind.NUMBERED))
    row = _examine_bundle(path, kind, plugins, remark=_find_remark(path, folder, kind))
    if kind in (CopyKind.FP16, CopyKind.EMA):  # a run begins with such weights, and none goes on
        return evolve(row, train=None, doubts=())
    return row


def _find_remark(path: Path, folder: Path, kind: str) -> str:
    """Return why a folder of such a name is no copy of the model as it is now; "" if it is one."""
    state = read_recorded_state(path)
    if kind == ASIDE or not state:
        return ""
    if state.get("copy_of") is None:
        return "a model of its own"
    run = read_recorded_state(folder).get("run_id")
    if run is not None and state.get("run_id") not in (run, None):
        return "of another run"
    return "" if run is not None or state["copy_of"] == folder.name else "of another model"


def _examine_log(folder: Path, state: TrainingState | None) -> Iterator[Problem]:
    """Yield what the next run of a model will do to the end of its log."""
    if state is None:
        return
    with suppress(SaveError):  # it cannot be read, which the run will say
        log = log_file_of(state.training_config, folder.name)
        run = RunInfo(
            model_name=folder.name,
            log_file=log,
            start_step=state.step,
            evaluated_step=state.last_evaluation,
            resumed=True,
            run_id=state.run_id,
        )
        end = find_end(run)
        if end.is_torn:
            yield _note(log, "ends with an unfinished line", "nothing: the next run removes it")
        if end.lines:
            what = f"has {format_count(end.lines, 'line')} of after the last save"
            yield _note(log, what, "nothing: the next run logs that again in their place")
        if end.later_step is not None:
            what = f"goes up to step {end.later_step}, and the model is at step {state.step}"
            yield _note(log, what, "nothing: the next run logs later steps once more")


def _note(path: Path, what: str, fix: str) -> Problem:
    return Problem(str(path), "", what, fix, kind="log", severity="note")
