"""Check a run that learns from preferences (DPO) before it begins.

Source: Rafailov et al. 2023, "Direct Preference Optimization".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.data.curriculum import Phases
    from mypt.format.documents.training import Ancestor

_KIND = "training.preferences"


def check_preferences(
    phases: Phases,
    lineage: Sequence[Ancestor],
    training: TrainingConfig,
) -> None:
    """Raise if preferences cannot be learnt from as the settings say.

    Args:
        phases: What the run trains on.
        lineage: The models that its first weights came from, the last one the latest.
        training: Hyperparameters.

    Raises:
        ConfigError: They are compared with another model than the run began with, or follow or
            precede other data, or a setting has no effect on them.
    """
    contents = [phase.loader.contents for phase in phases.phases]
    if all(part.reference_sha256 is None for part in contents):
        return
    problems = []
    if training.loss != TrainingConfig().loss or training.loss_options:
        what = "has no effect on preferences, whose loss is that of DPO (dpo_beta)"
        problems.append(Problem("", "loss", what, "leave loss and loss_options out", kind=_KIND))
    if training.document_mask:
        what = "has no effect on preferences, of which each answer has a row"
        problems.append(Problem("", "document_mask", what, "leave it out", kind=_KIND))
    base = lineage[-1].sha256 if lineage else None
    for part in contents:
        if part.reference_sha256 is None:
            what = "is in one run with preferences, whose losses are of another kind"
            fix = "train on it first, and begin a run on the preferences with --init_from_model"
            problems.append(Problem(part.source, "", what, fix, kind=_KIND))
        elif part.reference_sha256 != base:
            what = "compares its answers with another model than this run began with"
            fix = (
                "begin with --init_from_model and the model that it was prepared with, or prepare "
                "it again: mypt data preferences --from_model"
            )
            problems.append(Problem(part.source, "", what, fix, kind=_KIND))
    if problems:
        raise ConfigError(*problems)


def explain_unused_beta(phases: Phases, training: TrainingConfig) -> Iterator[str]:
    """Yield that `dpo_beta` has no effect, where it is another than usual and has none."""
    is_used = any(phase.loader.contents.reference_sha256 is not None for phase in phases.phases)
    if not is_used and training.dpo_beta != TrainingConfig().dpo_beta:
        yield "dpo_beta has no effect: the data hold no preferences (mypt data preferences)"
