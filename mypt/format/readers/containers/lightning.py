"""Reader of PyTorch Lightning's `.ckpt`, of a module that holds a model which mypt knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError, Problem
from mypt.format.readers import nanogpt_model
from mypt.format.readers.containers.likeness import (
    ASK_FOR_LIKE,
    interpret_config,
    make_nanogpt_likeness,
    read_likeness,
)
from mypt.format.readers.containers.selection import OPTIONS, find_tokenizer, select_tensors
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.foreign_adamw import check_decoupled, take_adamw
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.fields import pick_known_fields
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys
from mypt.format.readers.shared.optimizer import FIX, try_optimizer
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.vocabulary import VERSION
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage import files
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.containers.likeness import Likeness
    from mypt.format.readers.contract import Load
    from mypt.format.readers.foreign_model import ForeignModel

KEYS = frozenset({"state_dict", "pytorch-lightning_version"})
_SETTINGS = "hyper_parameters"
# The arguments of the user's module: those of nanoGPT's model, and how it was trained.
_KNOWN = KnownKeys(
    read=nanogpt_model.KEYS.read,
    ignored=frozenset(
        {
            *("lr", "learning_rate", "min_lr", "lr_decay_iters", "decay_lr"),
            *("weight_decay", "betas", "beta1", "beta2", "eps", "optimizer", "scheduler"),
            *("warmup_iters", "warmup_steps", "max_iters", "max_steps", "max_epochs"),
            *("batch_size", "grad_clip", "gradient_clip_val", "gradient_accumulation_steps"),
            *("seed", "compile", "device_type", "num_workers"),
        }
    ),
)


def recognises(path: Path) -> bool:
    """Return whether a file was written by Lightning, whatever model it holds."""
    return peek_dict(path, KEYS, ("state_dict",)) is not None


def defers(path: Path) -> bool:
    """Return whether a file of Lightning holds another model than nanoGPT's."""
    contents = peek_dict(path, KEYS, ("state_dict",))
    return contents is not None and not _holds_nanogpt(contents["state_dict"], str(path))


def _holds_nanogpt(state_dict: Mapping[str, Any], file: str) -> bool:
    named, _ = unwrap_names(state_dict, nanogpt_model.ROOTS, file)
    return any(name.startswith(nanogpt_model.ROOTS) for name in named)


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the model, as an option says it is, or as its module was given the sizes of nanoGPT's.

    Its AdamW comes along where the order of its parameters is that of the model.

    Raises:
        FormatError: It is damaged, holds another model, or does not say its sizes or its
            characters.
    """
    file = str(path)
    contents = load(path)
    state_dict = contents["state_dict"]
    tensors, notes = select_tensors(state_dict, state_dict, options.get("prefix"), file)
    likeness = _find_likeness(contents, tensors, options, file)
    model = likeness.convert(tensors, dict.fromkeys(tensors, path), file)
    report = [f"read from {path.name}, as a model of {likeness.program}", *notes, *model.report]
    states = contents.get("optimizer_states")
    found, flaws = try_optimizer(lambda: _take_optimizer(states, model, file), file)
    optimizer, used = (None, None) if found is None else found
    tokenizer = find_tokenizer(file, model.config.vocab_size, options, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=model.document,
        tokenizer=tokenizer,
        training_state=_convert_training_state(contents, used) if states else None,
        tensors=model.tensors,
        optimizer=optimizer,
        report=tuple(report),
        remarks=model.remarks,
        flaws=flaws,
    )


def _take_optimizer(
    states: Any, model: ForeignModel, file: str
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the optimizer state by mypt's names, and its settings; None if there is none.

    A state dict keeps the order of parameters. In two groups they are as nanoGPT has them, and all
    else who decays the matrices alone.
    """
    if not states:
        return None
    if len(states) > 1:
        what = f"is of {len(states)} optimizers, and mypt has one"
        raise FormatError(Problem(file, "the optimizer state", what, FIX))
    check_decoupled(states[0], file)
    rule = "all" if len(states[0]["param_groups"]) == 1 else "matrices"
    return take_adamw(states[0], model, model.held, rule=rule, file=file)


def _convert_training_state(
    contents: Mapping[str, Any], used: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Return the training state; `used` are the settings of the optimizer, if it is taken over."""
    step, settings = contents.get("global_step"), contents.get(_SETTINGS)
    if type(step) is not int or step < 0:
        return None
    known = settings if isinstance(settings, dict) else {}
    return {
        **VERSION,
        "step": step,
        "optimizer_file": None if used is None else files.OPTIMIZER,
        "training_config": {**(used or {}), **_pick_lengths(known)},
        "exact": False,
        "inexact_reasons": ["begun in PyTorch Lightning, whose module draws other batches"],
    }


def _pick_lengths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return how long a module was to train, where it was told as a number of updates."""
    found = pick_known_fields(settings, {"max_steps": "max_iters", "max_iters": "max_iters"})
    return {name: value for name, value in found.items() if type(value) is int and value > 0}


def _find_likeness(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], options: Mapping[str, Any], file: str
) -> Likeness:
    """Return what an option says of the model, or the arguments of its module.

    These are the sizes of nanoGPT's model, or a whole config under a name of its own.
    """
    if "like" in options:
        return read_likeness(Path(options["like"]), options)
    settings = contents.get(_SETTINGS)
    settings = settings if isinstance(settings, dict) else None
    for name, value in (settings or {}).items():
        found = interpret_config(value, options, file) if isinstance(value, dict) else None
        if found is not None:
            keys = evolve(_KNOWN, read=frozenset({name}))
            check_keys(settings or {}, keys, file, f"/{_SETTINGS}")
            return found
    if not _holds_nanogpt(tensors, file):
        what = (
            "is of PyTorch Lightning, and holds a model that is not nanoGPT's and whose "
            "architecture it does not say: install a plugin that reads it, or say it"
        )
        raise missing_option(file, what, ASK_FOR_LIKE)
    if settings is None:
        what = (
            "is of PyTorch Lightning, and lacks the sizes of its model, which a module saves with "
            "self.save_hyperparameters()"
        )
        raise missing_option(file, what, ASK_FOR_LIKE)
    check_keys(settings, _KNOWN, file, f"/{_SETTINGS}")
    return make_nanogpt_likeness(settings, options, file)


READER = ReaderFactory(
    "lightning",
    recognises=recognises,
    read=read,
    options={"type": "object", "properties": OPTIONS},
    takes_infos=True,
    defers=defers,
)
