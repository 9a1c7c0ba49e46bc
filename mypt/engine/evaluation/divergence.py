"""Whether a run has diverged: a loss or a weight that is NaN or infinite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from mypt.engine.runtime.fsdp import own_part
from mypt.format.errors import MyptError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.guard import Evaluation

WEIGHTS = "weights are NaN or infinite"


class DivergedError(MyptError):
    """A loss or a weight is NaN or infinite; what was saved before is intact."""


def are_finite(tensors: Iterable[torch.Tensor]) -> bool:
    """Return whether all values of floating-point tensors are finite; waits for their device once.

    Args:
        tensors: Of any shape; of a sharded one, the part of this process counts.
    """
    parts = [own_part(t.detach()) for t in tensors if t.is_floating_point()]
    if not parts:
        return True
    # A sum is the fastest pass. It is finite only if all values are, but may overflow.
    sums = torch.stack([part.sum(dtype=torch.float32) for part in parts])
    return bool(sums.isfinite().all()) or all(bool(part.isfinite().all()) for part in parts)


def explain_losses(evaluation: Evaluation) -> str | None:
    """Return which losses on the training data are not finite, in words; None where both are.

    A further set says nothing of that: its loss has no value where it holds nothing to predict.
    """
    losses = {"validation": evaluation.val_loss, "training": evaluation.train_loss}
    wrong = {name: loss for name, loss in losses.items() if not math.isfinite(loss)}
    if not wrong:
        return None
    names, first = " and ".join(wrong), next(iter(wrong.values()))
    return f"the {names} loss is {'NaN' if math.isnan(first) else 'infinite'}"


def diverged_error(
    found: str,
    step: int,
    *,
    folder: Path | None,
    saved_step: int | None,
    training: TrainingConfig,
) -> DivergedError:
    """Make the error that ends a run.

    Args:
        found: What is not finite.
        step: Where that was found.
        folder: The run's bundle; None for a run that saves nothing.
        saved_step: The step that it holds; None if nothing was saved.
        training: Hyperparameters of the run.
    """
    lower = f"a learning_rate below {training.learning_rate:g}"
    copies = "a gold or numbered copy (init_from_model)"
    if step == 0 and saved_step is None:
        kept = "before the first update; nothing was saved"
        fix = "look for the cause in the initial weights, or in a part of the model"
    elif saved_step is None:
        kept, fix = "and nothing was saved", f"begin again with {lower}"
    elif saved_step == step:
        kept, fix = "and so they are in what was saved", f"begin with {copies} and {lower}"
    else:
        kept = f"and step {saved_step} stays as it was saved"
        fix = f"go on from there with {lower}, or begin with {copies}"
    what = f"training has diverged: {found} at step {step}, {kept}"
    fix += "; a run goes on where terminate_on_nan is off" if training.terminate_on_nan else ""
    place = "" if folder is None else str(folder)
    return DivergedError(Problem(place, "", what, fix, kind="training.diverged"))
