"""Reader of PyTorch Lightning's `.ckpt`, of a module that holds a model which mypt knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.readers import nanogpt_model
from mypt.format.readers.containers.likeness import (
    ASK_FOR_LIKE,
    make_nanogpt_likeness,
    read_likeness,
)
from mypt.format.readers.containers.selection import OPTIONS, find_tokenizer, select_tensors
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.containers.likeness import Likeness
    from mypt.format.readers.contract import Load

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
    report = [
        f"read from {path.name}, as a model of {likeness.program}",
        *notes,
        *model.report,
        "the optimizer state is left out, if there is one: only the module that trained it can say "
        "which parameters it is of",
    ]
    tokenizer = find_tokenizer(file, model.config.vocab_size, options, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=model.document,
        tokenizer=tokenizer,
        tensors=model.tensors,
        report=tuple(report),
        remarks=model.remarks,
    )


def _find_likeness(
    contents: Mapping[str, Any], tensors: Mapping[str, Any], options: Mapping[str, Any], file: str
) -> Likeness:
    if "like" in options:
        return read_likeness(Path(options["like"]), options)
    if not _holds_nanogpt(tensors, file):
        what = (
            "is of PyTorch Lightning, and holds a model that is not nanoGPT's and whose "
            "architecture it does not say: install a plugin that reads it, or say it"
        )
        raise missing_option(file, what, ASK_FOR_LIKE)
    settings = contents.get(_SETTINGS)
    if not isinstance(settings, dict):
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
