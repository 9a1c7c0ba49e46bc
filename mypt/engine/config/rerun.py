"""Resolve the settings of a run that does again, from its beginning, what another one did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.engine.config.precedence import ResolvedRun
from mypt.format.errors import FormatError, Problem
from mypt.format.storage import files

if TYPE_CHECKING:
    from mypt.format.documents.training import TrainingState
    from mypt.format.opened import Opened

_KIND = "rerun"


def resolve_rerun(opened: Opened) -> ResolvedRun:
    """Resolve a run with the settings of the last run of a checkpoint, from its first step.

    It has the default log of its own name.

    Args:
        opened: The checkpoint.

    Raises:
        FormatError: It does not record how it was made, or that was no command.
    """
    state, kind = _need_record(opened), opened.need_tokenizer().token_kind
    return ResolvedRun(
        config=opened.config,
        training=evolve(state.training_config, start_step=0, log_file=None),
        tokenization=kind,
        device=opened.config.device,
        notices=tuple(f"warning: {warning}" for warning in opened.warnings),
    )


def _need_record(opened: Opened) -> TrainingState:
    state, file = opened.training_state, str(opened.path / files.TRAINING_STATE)
    if state is None:
        opened.check_flaws()
        what = f"has no {files.TRAINING_STATE}, so nobody knows how the model was trained"
        fix = "name a model that mypt train made"
        raise FormatError(Problem(str(opened.path), "", what, fix, kind=_KIND))
    if state.provenance is None:
        what = "does not say how the run was started"
        fix = "begin a run with its settings: mypt train --config_file " + str(opened.path)
        raise FormatError(Problem(file, "/provenance", what, fix, kind=_KIND))
    if state.provenance.command is None:
        what = "is null: the model was trained from Python, and only that program can do it again"
        fix = "run the program again"
        raise FormatError(Problem(file, "/provenance/command", what, fix, kind=_KIND))
    return state
