"""What a checkpoint is in a few figures: what `get_model_info` and `list_checkpoints` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.layout import are_parts_known, count_parameters, expected_tensors
from mypt.format.rules.config import layout_problems

if TYPE_CHECKING:
    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins


def summarize_checkpoint(opened: Opened, plugins: Plugins) -> dict[str, Any]:
    """Return the figures of a checkpoint as a JSON object; what it does not record is None.

    Args:
        opened: The checkpoint; its weights are not read.
        plugins: Where architecture parts are looked up.

    Returns:
        `format` ("2.0", or the name of the reader of another one), `written_by` (program and
        version that saved it), `parameters` (a tied matrix is counted once), `step`, `best_loss`
        and `best_step` (of its gold selection: the validation loss, or the mean of `gold_metric`),
        `size_bytes` (of its files together), `run_id`, and `copy_of` (the model that it is the
        gold, half-precision or numbered copy of).
    """
    state = opened.training_state
    gold = None if state is None else state.gold
    return {
        "format": opened.format,
        "written_by": (opened.manifest and opened.manifest.written_by) or None,
        "parameters": _count_parameters(opened, plugins),
        "step": None if state is None else state.step,
        "best_loss": None if gold is None else gold.best_val_loss,
        "best_step": None if gold is None else gold.best_step,
        "size_bytes": sum(opened.sizes.values()),
        "run_id": None if state is None else state.run_id,
        "copy_of": None if state is None else state.copy_of,
    }


def _count_parameters(opened: Opened, plugins: Plugins) -> int:
    """Count the parameters, from the shapes in the file where not all that it takes is here."""
    config = opened.config
    known = not opened.lacking and are_parts_known(config, plugins.layouts)
    if known and not layout_problems(config, "", plugins.layouts):
        return count_parameters(expected_tensors(config, plugins.layouts), tied=config.tie_weights)
    return count_parameters(opened.shapes(), tied=config.tie_weights)
