"""What a model in memory knows of its training: the run, the step, and where it was read from."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.format.documents.convert import from_document
from mypt.format.documents.provenance import Provenance, limit_runs
from mypt.format.documents.training import TrainingState
from mypt.format.storage.files import real_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.documents.training import Ancestor, Environment


@frozen(kw_only=True)
class History:
    """The training behind the weights of a model in memory.

    Attributes:
        state: Its training state; None for a model that has none.
        optimizer: Content of `optimizer.pt` at that state; None where it is not in memory.
        path: The bundle, folder or file that the model was read from or saved to last, resolved;
            None for one that never was.
        digests: SHA-256 of each `model.pt` that the model was read from or saved as.
        doubts: Why its training cannot go on exactly, as far as the files it was read from show.
        lineage: What a run of its own that begins now came from; None for the model itself.
    """

    state: TrainingState | None = None
    optimizer: Mapping[str, Any] | None = None
    path: Path | None = None
    digests: frozenset[str] = frozenset()
    doubts: tuple[str, ...] = ()
    lineage: tuple[Ancestor, ...] | None = None

    @property
    def step(self) -> int:
        """Updates that the model has been trained for."""
        return 0 if self.state is None else self.state.step

    def state_in(self, folder: Path | None) -> TrainingState | None:
        """Return the state to go on from in a folder: gold is remembered where its copy is."""
        state = self.state
        if state is None or state.gold is None or folder is None:
            return state
        if real_path(folder) == self.path:
            return state
        return evolve(state, gold=None)


def begin_or_continue(previous: TrainingState) -> TrainingState:
    """Return a state with the identity of the run that goes on from another one.

    Training a copy begins a run of its own, and so does training what no run has a name for.
    """
    if previous.run_id is None or previous.copy_of is not None:
        own = secrets.token_hex(16)
        return evolve(previous, run_id=own, copy_of=None, mean_decay=None, sinks={})
    return previous


def follow_runs(
    previous: TrainingState, provenance: Provenance, environment: Environment
) -> tuple[Provenance, tuple[Provenance, ...]]:
    """Return the provenance of a run that goes on from another one, and that of the runs before.

    One that is started as the last one was, in the same environment, is no other run.

    Args:
        previous: The state that it goes on from.
        provenance: How it is started.
        environment: What computes it.
    """
    before = previous.provenance
    if before is not None and provenance.is_like(before) and previous.environment == environment:
        return before, previous.earlier_runs
    return provenance, runs_behind(previous)


def runs_behind(state: TrainingState) -> tuple[Provenance, ...]:
    """Return how all runs up to a state were started, the last one with its versions."""
    last, environment = state.provenance, state.environment
    if last is None and state.step == 0:
        return state.earlier_runs
    versions: dict[str, str] = {}
    if environment is not None:
        plugins = {package: need["version"] for package, need in environment.plugins.items()}
        mypt = {} if environment.mypt is None else {"mypt": environment.mypt}
        versions = {**mypt, "torch": environment.torch, **plugins}
    last = last or Provenance(start_step=state.training_config.start_step)
    last = evolve(last, versions={**versions, **last.versions})
    return limit_runs((*state.earlier_runs, last))


def bare_state(step: int) -> TrainingState:
    """Return the state of a model of whose training nothing is known but its step."""
    return from_document(TrainingState, {"step": step})
