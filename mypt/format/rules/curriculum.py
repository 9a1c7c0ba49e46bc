"""How the phases of a curriculum, and the stretches of a batch schedule, follow one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.format.documents.convert import Document

_DATA = ("input_file", "dataset_dir", "mixture")


def curriculum_problems(training: Document, file: str, where: str = "") -> list[Problem]:
    """Return the reasons why the phases of a curriculum do not follow one another.

    Args:
        training: Hyperparameters accepted by their schema.
        file: Name of the file, for messages.
        where: JSON pointer to the hyperparameters.
    """
    phases = training.get("curriculum", ())
    return list(_phase_problems(phases, file, f"{where}/curriculum"))


def batch_schedule_problems(training: Document, file: str, where: str = "") -> Iterator[Problem]:
    """Yield the reasons why the stretches of a batch schedule do not follow one another.

    Args:
        training: Hyperparameters accepted by their schema.
        file: Name of the file, for messages.
        where: JSON pointer to the hyperparameters.
    """
    begin = 0
    for index, stretch in enumerate(training.get("batch_schedule", ())):
        if stretch["from_iter"] <= begin:
            what = f"is {stretch['from_iter']}, but the stretch before begins at step {begin}"
            fix = "make the steps of the stretches increase"
            place = f"{where}/batch_schedule/{index}/from_iter"
            yield Problem(file, place, what, fix, kind="training.batch_schedule")
        begin = stretch["from_iter"]


def _phase_problems(
    phases: Sequence[Mapping[str, Any]], file: str, where: str
) -> Iterator[Problem]:
    begin, names = 0, set[str]()
    for index, phase in enumerate(phases):
        here, end = f"{where}/{index}", phase.get("until_iter")
        if phase["name"] in names:
            what = f'is "{phase["name"]}", which an earlier phase is named too'
            yield _make_problem(file, f"{here}/name", what, "give each phase a name of its own")
        names.add(phase["name"])
        if end is None and index + 1 < len(phases):
            what = "is missing, though another phase follows"
            yield _make_problem(
                file, f"{here}/until_iter", what, "set it to the step at which that one begins"
            )
        elif end is not None and end <= begin:
            what = f"is {end}, but the phase begins at step {begin}"
            yield _make_problem(
                file, f"{here}/until_iter", what, "make the steps of the phases increase"
            )
        begin = end or begin
        if sum(bool(phase.get(name)) for name in _DATA) != 1:
            what = f"must have one of {', '.join(_DATA[:-1])} and {_DATA[-1]}"
            yield _make_problem(file, here, what, "set exactly one of them")


def _make_problem(file: str, where: str, what: str, fix: str) -> Problem:
    return Problem(file, where, what, fix, kind="training.curriculum")
