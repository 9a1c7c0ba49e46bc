"""Reader of PyTorch Lightning's `.ckpt`, of a module that holds a model of nanoGPT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.readers import nanogpt_model
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.fields import make_unsupported_error, pick_known_fields
from mypt.format.readers.shared.gpt2_names import drop_masks
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.vocabulary import (
    CHARS_OPTION,
    NO_TOKENIZER,
    TOKENIZER_OPTION,
    make_char_document,
)
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.documents.config import GPTConfig
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
    """Read the model; its optimizer and its loops belong to the module that trained it.

    Raises:
        FormatError: It is damaged, holds another model than nanoGPT's, or does not say its sizes
            or its characters.
    """
    file = str(path)
    contents = load(path)
    named, taken_off = unwrap_names(contents["state_dict"], nanogpt_model.ROOTS, file)
    settings = contents.get(_SETTINGS)
    if not _holds_nanogpt(named, file):
        what = "is of PyTorch Lightning, and holds a model that mypt does not read"
        fix = "install a plugin that reads it, or save its state dict as that program does"
        raise make_unsupported_error(file, "state_dict", what, fix)
    if not isinstance(settings, dict):
        what = "is missing, so the sizes of the model are not in the file"
        fix = "call self.save_hyperparameters() in the module and save it again"
        raise make_unsupported_error(file, _SETTINGS, what, fix)
    check_keys(settings, _KNOWN, file, f"/{_SETTINGS}")
    tensors = drop_masks(named)
    activation, doubts = nanogpt_model.choose_activation(None, tensors, None, options)
    sizes = pick_known_fields(settings, {name: name for name in nanogpt_model.KEYS.read})
    fields = nanogpt_model.convert_model_args({"bias": True, **sizes}, file)
    model = nanogpt_model.convert_model({**fields, "mlp_type": activation}, tensors, path)
    report = [
        f"read from {path.name}",
        *taken_off,
        "the optimizer state is left out, if there is one: only the module that trained it can say "
        "which parameters it is of",
    ]
    if model.config.dropout:
        report.append(nanogpt_model.DROPOUT_NOTE)
    tokenizer = _find_tokenizer(file, model.config, options, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=model.document,
        tokenizer=tokenizer,
        tensors=model.tensors,
        report=tuple(report),
        remarks=(*model.remarks, *doubts),
    )


def _find_tokenizer(
    file: str, config: GPTConfig, options: Mapping[str, Any], report: list[str]
) -> Mapping[str, Any] | None:
    if options.get("tokenizer") == NO_TOKENIZER:
        return None
    if "chars" in options:
        return make_char_document(options["chars"], config.vocab_size, "--option chars", report)
    what = f"does not say what its {config.vocab_size} ids stand for"
    raise missing_option(file, what, "chars=...", f"tokenizer={NO_TOKENIZER}")


OPTIONS = {
    "type": "object",
    "properties": {
        "chars": CHARS_OPTION,
        "activation": nanogpt_model.ACTIVATION_OPTION,
        "tokenizer": TOKENIZER_OPTION,
    },
}

READER = ReaderFactory(
    "lightning",
    recognises=recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
    defers=defers,
)
