"""The condition of a bundle: what is damaged, and what it still serves for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.bundle.base import KIND as BASE
from mypt.format.bundle.base import base_problems
from mypt.format.bundle.edits import EDITED, REFORMATTED
from mypt.format.bundle.examine import examine
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import MyptError, Problem, log_traceback, sort_by_severity
from mypt.format.open import list_doubts
from mypt.format.rules.cross_file import MISSING_FILE
from mypt.format.rules.requirements import LACKING
from mypt.format.rules.tensors import MISMATCH
from mypt.format.storage import files
from mypt.format.storage.generations import CHANGING, committed_document, read_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypt.format.bundle.findings import Findings
    from mypt.format.bundle.read import Bundle
    from mypt.plugins.manager import Plugins

# Kind of the problem that names a copy of a damaged model.
DAMAGED = "checkpoint.damaged"
# Kinds of problems that a copy of the files is not there to end: this mypt, as it is installed,
# cannot read the bundle; a field was edited, and the problem says what it was; a run saves it, or
# has saved it in parts alone so far; or the base of an adapter is not there.
UNWRITTEN = "checkpoint.unwritten"
_NO_DAMAGE = LACKING | {"version.newer", MISMATCH, CHANGING, BASE, UNWRITTEN}


@frozen(kw_only=True)
class Condition:
    """What a bundle still serves for.

    Attributes:
        path: The bundle.
        state: Its training state as it was recorded, unchecked; empty where nothing is known.
        problems: What is wrong with it, worst first; edits of its documents are no damage.
        bundle: The bundle, as far as it can be read; None if it cannot.
    """

    path: Path
    state: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    bundle: Bundle | None = None

    @property
    def step(self) -> int | None:
        """Updates that it was trained for; None where that is not known."""
        step = self.state.get("step")
        return step if isinstance(step, int) else None

    @property
    def damage(self) -> tuple[Problem, ...]:
        """What a copy of the files would mend."""
        return self.problems if are_damage(self.problems) else ()

    @property
    def edits(self) -> tuple[Problem, ...]:
        """Fields of its documents that are not as they were saved; unknown if it cannot be read."""
        notes = () if self.bundle is None else self.bundle.notes
        return tuple(note for note in notes if note.kind == EDITED)

    @property
    def can_generate(self) -> bool:
        """Whether its weights can be used."""
        return self.bundle is not None

    @property
    def can_train(self) -> bool:
        """Whether training can go on from it; without its optimizer's file, not exactly."""
        bundle = self.bundle
        if bundle is None or bundle.training_state is None or bundle.tokenizer is None:
            return False
        optimizer = str(self.path / (bundle.training_state.optimizer_file or files.OPTIMIZER))
        return all(p.kind == MISSING_FILE and p.file == optimizer for p in self.problems)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why training would not go on from it exactly, as far as its files tell."""
        bundle = self.bundle
        if bundle is None or bundle.training_state is None:
            return ()
        doubts = list_doubts(bundle)
        has_optimizer = bundle.training_state.optimizer_file in bundle.paths
        if bundle.training_state.step > 0 and not has_optimizer:
            return (*doubts, "there is no optimizer state")
        return tuple(doubts)


def are_damage(problems: Collection[Problem]) -> bool:
    """Return whether problems of a bundle are those that a copy of its files would end.

    Of a bundle that this mypt cannot read nobody knows whether it is damaged.
    """
    return bool(problems) and all(problem.kind not in _NO_DAMAGE for problem in problems)


def examine_condition(folder: Path, plugins: Plugins) -> Condition:
    """Examine a bundle, its checksums included; every file is read once, a chunk at a time.

    Args:
        folder: The bundle, whatever is left of it.
        plugins: Where its parts are looked up.
    """
    state = read_recorded_state(folder)
    try:
        seen = examine(folder, plugins.layouts, plugins.settings, checksums=True)
        problems = _find_problems(seen)
        needed = [p for p in problems if p.severity == "error" and p not in seen.flaws]
        bundle = None if needed else read_bundle(folder, plugins.layouts, plugins.settings)
        if bundle is not None:  # what was read at the first look may be unreadable at the second
            again = [flaw for flaw in bundle.flaws if flaw not in problems]
            problems = sort_by_severity([*problems, *again])
    except MyptError as error:
        log_traceback(error)
        return Condition(path=folder, state=state, problems=error.problems)
    except OSError as error:
        unreadable = files.unreadable_problem(error, str(folder))
        return Condition(path=folder, state=state, problems=(unreadable,))
    adapter = None if bundle is None else bundle.config.adapter
    lacking = () if adapter is None else tuple(base_problems(folder, adapter, severity="error"))
    bundle = None if lacking else bundle
    return Condition(path=folder, state=state, problems=(*lacking, *problems), bundle=bundle)


def _find_problems(seen: Findings) -> list[Problem]:
    """Return what keeps a bundle from some use, or from being what was saved but for edits."""
    listed = seen.manifest.files if seen.manifest else {}
    return [
        problem
        for problem in sort_by_severity(seen.problems)
        if problem.kind in LACKING
        or (problem.severity == "error" and problem.kind not in (EDITED, REFORMATTED))
        or (problem.kind == MISSING_FILE and Path(problem.file).name in listed)
    ]


def read_recorded_state(folder: Path) -> Mapping[str, Any]:
    """Return the training state of a bundle, unchecked, however little of the bundle is left.

    It is that of its last commit, or else the one that its manifest has recorded, or the file of
    that name; empty where none can be read.
    """
    for read in (_read_committed_state, _read_state_of_manifest, _read_state_file):
        try:
            found = read(folder)
        except (MyptError, OSError):
            continue
        if found is not None:
            return found
    return {}


def step_of(state: Mapping[str, Any]) -> int:
    """Return the step of a recorded state, which is unchecked; 0 where it has none."""
    step = state.get("step")
    return step if isinstance(step, int) else 0


def _read_committed_state(folder: Path) -> Mapping[str, Any] | None:
    return committed_document(folder, files.TRAINING_STATE)


def _read_state_of_manifest(folder: Path) -> Mapping[str, Any] | None:
    manifest = read_manifest(folder)
    return None if manifest is None else manifest.documents.get(files.TRAINING_STATE)


def _read_state_file(folder: Path) -> Mapping[str, Any]:
    return files.read_document(folder / files.TRAINING_STATE, files.TRAINING_STATE)[0]
