"""Fall back on a copy of a damaged model: the newest whole one is put in its place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.engine.checkpoints.recovery.candidates import list_candidates
from mypt.engine.checkpoints.recovery.condition import DAMAGED, are_damage, examine_condition
from mypt.engine.checkpoints.write import WRITTEN_BY
from mypt.format.bundle.write import copy_bundle
from mypt.format.errors import FormatError, Problem
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.files import is_present
from mypt.format.storage.generations import CHANGING, read_manifest_bytes
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.storage.succession import set_aside, successor_path, take_place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mypt.engine.checkpoints.recovery.condition import Condition
    from mypt.format.bundle.read import Bundle
    from mypt.format.documents.manifest import Manifest
    from mypt.format.documents.training import TrainingState
    from mypt.plugins.manager import Plugins


@frozen(kw_only=True)
class FallBack:
    """The copy of a damaged model that a run goes on from.

    Attributes:
        folder: The model.
        damage: What is wrong with it.
        bundle: Its newest copy that is whole.
        state: The state to go on from: that of the copy, which ceases to be one.
        doubts: Why training does not go on from it exactly.
        damaged_copies: Newer copies, which are damaged too.
        found: Bytes of the model's manifest as it was found; None where it has none.
    """

    folder: Path
    damage: tuple[Problem, ...]
    bundle: Bundle
    state: TrainingState
    doubts: tuple[str, ...]
    damaged_copies: tuple[Path, ...]
    found: bytes | None

    @property
    def error(self) -> FormatError:
        """The damage, with the copy that `--fall_back` takes."""
        what = f"is damaged; its newest copy that is whole is {self._describe_copy()}"
        fix = f"to go on from it, {fall_back_hint(self.folder)}"
        return FormatError(*self.damage, Problem(str(self.folder), "", what, fix, kind=DAMAGED))

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user is told, a line each."""
        return (
            f"Damaged: {self.damage[0]}",
            f"Falling back on {self._describe_copy()}; what is damaged is kept beside it",
        )

    def _describe_copy(self) -> str:
        how = f"not exactly: {self.doubts[0]}" if self.doubts else "exactly"
        return f"{self.bundle.folder}, at step {self.state.step}, from which training goes on {how}"

    def take(self, *, no_lock: bool = False) -> Manifest:
        """Put the copy in the place of the model, which is renamed, as newer damaged copies are.

        A process that dies meanwhile leaves the damaged model, or the whole one, or for an instant
        neither: `finish_succession` ends that. Nothing is deleted.

        Args:
            no_lock: Whether to go on where the file system has no locks.

        Returns:
            The manifest of what is there now.

        Raises:
            LockedError: Another process is writing there.
            FormatError: The model, or the copy, was saved since it was examined.
            SaveError: It could not be written; the model is where it was.
        """
        made: list[Manifest] = []

        def make() -> None:
            self._check_unchanged()
            for path in self.damaged_copies:
                set_aside(path, no_lock=no_lock)
            made.append(self._make_successor(no_lock=no_lock))

        try:
            if is_present(self.folder):
                set_aside(self.folder, make, self._take_place, no_lock=no_lock)
            else:
                make()
                self._take_place()
        finally:
            shutil.rmtree(successor_path(self.folder), ignore_errors=True)
        return made[0]

    def _check_unchanged(self) -> None:
        if read_manifest_bytes(self.folder) != self.found:
            what, fix = "was saved since it was examined", "run the command again"
            raise FormatError(Problem(str(self.folder), "", what, fix, kind=CHANGING))

    def _make_successor(self, *, no_lock: bool) -> Manifest:
        """Write the copy, as a model of its own, where the successor of the model is made."""
        doubts = tuple(f"step {self.state.step}: {doubt}" for doubt in self.doubts)
        state = evolve(
            self.state,
            exact=self.state.exact and not doubts,
            inexact_reasons=(*self.state.inexact_reasons, *doubts),
        )
        place = successor_path(self.folder)
        with raising_save_errors(place):
            if is_present(place):
                shutil.rmtree(place)
            with open_for_writing(place, no_lock=no_lock) as writer:
                return copy_bundle(self.bundle, writer, state, written_by=WRITTEN_BY)

    def _take_place(self) -> None:
        with raising_save_errors(self.folder):
            take_place(self.folder)


def fall_back_hint(folder: Path) -> str:
    """Return what to do to go on from a copy, and what becomes of the damaged model."""
    return (
        f"add --fall_back (in Python: fall_back=True), which keeps what is damaged under another "
        f"name; all copies: mypt doctor {folder.name}"
    )


def choose_fall_back(
    folder: Path, error: FormatError, plugins: Plugins, *, is_wanted: bool
) -> FallBack:
    """Return the copy to go on from where a model cannot be opened.

    Args:
        folder: The model; it may be missing.
        error: What is wrong with it.
        plugins: Where parts are looked up.
        is_wanted: Whether the user asked to fall back.

    Raises:
        FormatError: The error; with the newest whole copy where that is not wished, and with what
            else to do where there is none.
    """
    damage = error.problems
    if not are_damage(damage):
        if is_wanted:
            what = "is not damaged, so that no copy takes its place"
            fix = f"do what is said of it; for all copies see: mypt doctor {folder.name}"
            raise FormatError(*damage, Problem(str(folder), "", what, fix)) from error
        raise error
    examined = _examine_candidates(folder, plugins)
    found = _choose(folder, damage, examined)
    if found is None and is_wanted:
        what = "has no whole copy to fall back on"
        fix = f"see what is left: mypt doctor {folder.name}"
        none = Problem(str(folder), "", what, fix, kind=DAMAGED)
        raise FormatError(
            *damage, none, *(p for copy in examined for p in copy.problems[:1])
        ) from error
    if found is None:
        raise error
    if not is_wanted:
        raise found.error from error
    return found


def find_fall_back(folder: Path, damage: tuple[Problem, ...], plugins: Plugins) -> FallBack | None:
    """Find the newest whole copy of a damaged model that training can go on from.

    Where none is whole, one that has lost its optimizer state alone serves too.

    Args:
        folder: The model; it may be missing.
        damage: What is wrong with it.
        plugins: Where parts are looked up.

    Returns:
        None if there is none.
    """
    return _choose(folder, damage, _examine_candidates(folder, plugins))


def _examine_candidates(folder: Path, plugins: Plugins) -> list[Condition]:
    """Examine the copies of a model, the newest first, up to one that is whole."""
    examined: list[Condition] = []
    for path in list_candidates(folder):
        examined.append(examine_condition(path, plugins))
        if examined[-1].can_train and not examined[-1].damage:
            break
    return examined


def _choose(
    folder: Path, damage: tuple[Problem, ...], examined: Sequence[Condition]
) -> FallBack | None:
    able = [condition for condition in examined if condition.can_train]
    if not able:
        return None
    copy = min(able, key=lambda condition: bool(condition.damage))
    bundle = copy.bundle
    if bundle is None or bundle.training_state is None:
        return None
    newer = examined[: examined.index(copy)]
    return FallBack(
        folder=folder,
        damage=damage,
        bundle=bundle,
        state=evolve(bundle.training_state, copy_of=None),
        doubts=copy.doubts,
        damaged_copies=tuple(condition.path for condition in newer if condition.damage),
        found=read_manifest_bytes(folder),
    )
