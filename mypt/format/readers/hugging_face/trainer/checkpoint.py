"""The training of a folder `checkpoint-N` of transformers' Trainer.

`trainer_state.json` says how far it is, `optimizer.pt` holds the state of AdamW. The arguments of
the training are in `training_args.bin`, a pickle of objects, which is not read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.foreign_adamw import take_adamw
from mypt.format.readers.hugging_face.trainer.parameter_order import order_names
from mypt.format.readers.shared.optimizer import FIX, try_optimizer
from mypt.format.readers.shared.vocabulary import VERSION
from mypt.format.schema import strict_json
from mypt.format.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load
    from mypt.format.readers.foreign_model import ForeignModel

STATE, OPTIMIZER = "trainer_state.json", "optimizer.pt"
# Trainer decays everything but biases and norms: the matrices, in every family that mypt reads.
_RULE = "matrices"
# What other ways to train leave in the place of `optimizer.pt`.
_OTHERS = {
    "global_step*": "DeepSpeed",
    "optimizer_*": "FSDP",
    "optimizer.bin": "FSDP",
    "mp_rank_*": "Megatron",
}
_ARGUMENTS = (
    "training_args.bin is not read, as it can execute code: warm-up, gradient clipping and mixed "
    "precision are mypt's defaults, and the learning rate follows mypt's schedule"
)


@frozen(kw_only=True)
class Training:
    """What a folder says of its training.

    Attributes:
        state: Fields of `training_state.json`; None if it has none.
        optimizer: The optimizer state by mypt's names.
        config_fields: Fields of `config.json` that are settings of training.
        report: What a user should know, one line each.
        flaws: Why the optimizer state is not taken over.
    """

    state: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    config_fields: Mapping[str, Any] = field(factory=dict)
    report: tuple[str, ...] = ()
    flaws: tuple[Problem, ...] = ()


def read_training(path: Path, model_type: str, model: ForeignModel, load: Load) -> Training:
    """Return the training of a folder; of one that only holds a model, nothing.

    Args:
        path: The folder.
        model_type: The family of the model.
        model: The model.
        load: Opens files of weights.
    """
    if not files.is_regular_file(path / STATE):
        return Training()
    try:
        progress = _read_progress(path / STATE, str(path / STATE))
    except FormatError as error:
        return Training(flaws=error.problems)
    file = path / OPTIMIZER

    def arranged() -> tuple[dict[str, Any], dict[str, Any]] | None:
        if not files.is_regular_file(file):
            _check_other_forms(path)
            return None
        order = order_names(model.held, model_type, str(file))
        return take_adamw(load(file), model, order, rule=_RULE, file=str(file))

    found, flaws = try_optimizer(arranged, str(file))
    optimizer, settings = (None, None) if found is None else found
    report = [_ARGUMENTS]
    if optimizer is None and not flaws:
        report.append(f"there is no {OPTIMIZER}: the moments of AdamW begin anew")
    size = progress.get("train_batch_size")
    return Training(
        state=_convert_progress(progress, settings),
        optimizer=optimizer,
        config_fields={"batch_size": size} if type(size) is int and size > 0 else {},
        report=tuple(report),
        flaws=flaws,
    )


def _read_progress(path: Path, file: str) -> dict[str, Any]:
    """Return the content of `trainer_state.json`, whose losses may be NaN, which no JSON has."""
    with files.open_regular(path, file) as stream:
        data = stream.read(strict_json.MAX_JSON_BYTES + 1)
    try:
        progress = json.loads(data[: strict_json.MAX_JSON_BYTES], parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        progress = None
    if not isinstance(progress, dict):
        raise FormatError(Problem(file, "", "is not a JSON object", FIX, kind="json"))
    step = progress.get("global_step")
    if type(step) is not int or step < 0:
        what = f"is {step!r}, not a number of updates"
        raise FormatError(Problem(file, "/global_step", what, FIX, kind="foreign.field"))
    return progress


def _check_other_forms(path: Path) -> None:
    """Raise if the optimizer state is there in the form of another way to train."""
    for pattern, program in _OTHERS.items():
        for other in path.glob(pattern):
            what = f"is in {other.name}, in the form of {program}, which mypt does not read"
            raise FormatError(Problem(str(path), "the optimizer state", what, FIX))


def _convert_progress(
    progress: Mapping[str, Any], settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    seen, most = progress.get("num_input_tokens_seen"), progress.get("max_steps")
    return {
        **VERSION,
        "step": progress["global_step"],
        "optimizer_file": None if settings is None else files.OPTIMIZER,
        **({"tokens_processed": seen} if type(seen) is int and seen > 0 else {}),
        "training_config": {
            **(settings or {}),
            **({"max_iters": most} if type(most) is int and most > 0 else {}),
            "weight_decay_on": _RULE,
        },
        "exact": False,
        "inexact_reasons": ["begun in transformers, whose Trainer draws other batches"],
    }
