"""Whether a resumed run continues bit for bit, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from mypt.format.documents import TrainingConfig

if TYPE_CHECKING:
    from mypt.format.documents import DataFingerprint, TrainingState

# Names and places, and what is measured: none of it changes a weight.
_HARMLESS = frozenset(
    {
        "config_file",
        "dataset_dir",
        "eval_dataset_dir",
        "eval_interval",
        "eval_iters",
        "extra",
        "gold_guards",
        "input_file",
        "log_file",
        "start_step",
    }
)


def inexact_reasons(
    previous: TrainingState,
    training: TrainingConfig,
    data: DataFingerprint,
    *,
    has_optimizer: bool,
) -> list[str]:
    """List what makes this resume differ from the run that was never stopped.

    Args:
        previous: The state to go on from.
        training: Hyperparameters of the run that begins.
        data: Fingerprint of the data it trains on.
        has_optimizer: Whether the optimizer's state was there.
    """
    reasons = []
    for field in attrs.fields(TrainingConfig):
        if field.name not in _HARMLESS:
            was, now = (getattr(c, field.name) for c in (previous.training_config, training))
            if was != now:
                reasons.append(f"{field.name} changed from {was} to {now}")
    if previous.data is not None and previous.data.sha256 != data.sha256:
        reasons.append(f"the data changed ({previous.data.source} to {data.source})")
    if previous.step > 0 and not has_optimizer:
        reasons.append("there was no optimizer state")
    return [f"step {previous.step}: {reason}" for reason in reasons]
