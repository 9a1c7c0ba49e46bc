"""Reader of nanoGPT's `ckpt.pt`, with the `meta.pkl` of its data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.documents.tokenizer import GPT2_PADDED_VOCAB_SIZE, GPT2_VOCAB_SIZE
from mypt.format.migrations.optimizer_moments import optimizer_settings
from mypt.format.readers import nanogpt_model
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.fields import pick_known_fields
from mypt.format.readers.shared.gpt2_names import drop_masks
from mypt.format.readers.shared.known_keys import check_keys
from mypt.format.readers.shared.optimizer import try_optimizer
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.plain_pickle import read_plain_pickle
from mypt.format.readers.shared.tensor_map import map_moments
from mypt.format.readers.shared.vocabulary import (
    CHARS_OPTION,
    GPT2,
    NO_TOKENIZER,
    TOKENIZER_OPTION,
    VERSION,
    list_by_id,
    make_char_document,
)
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage import files
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.contract import Load

FILE, META = "ckpt.pt", "meta.pkl"
KEYS = frozenset({"model", "model_args"})
# llama2.c has nanoGPT's keys, and these model_args.
LLAMA2_C = frozenset({"dim", "n_layers", "multiple_of"})
DECAY_RULE = "matrices"
# GPT-2's number of ids, and the same rounded up, which nanoGPT uses if it finds no meta.pkl.
_GPT2_SIZES = (GPT2_VOCAB_SIZE, GPT2_PADDED_VOCAB_SIZE)
_TRAINING = {
    "learning_rate": "learning_rate",
    "max_iters": "max_iters",
    "warmup_iters": "warmup_iters",
    "grad_clip": "grad_clip",
    "eval_interval": "eval_interval",
    "eval_iters": "eval_iters",
    "gradient_accumulation_steps": "grad_accum_steps",
}
_DECAY = {name: name for name in ("weight_decay", "beta1", "beta2")}
_AMP = {"bfloat16": {"amp_dtype": "bf16"}, "float16": {"amp_dtype": "fp16"}}


def recognises(path: Path) -> bool:
    """Return whether a file, or the `ckpt.pt` of a folder, was written by nanoGPT."""
    file = path / FILE if files.is_folder(path) else path
    contents = peek_dict(file, KEYS, ("model", "model_args"))
    return contents is not None and not contents["model_args"].keys() >= LLAMA2_C


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the whole checkpoint.

    Raises:
        FormatError: It is damaged, does not match its config, or its characters are unknown.
    """
    path = path / FILE if files.is_folder(path) else path
    file = str(path)
    contents = load(path)
    settings, args = contents.get("config") or {}, contents["model_args"]
    check_keys(args, nanogpt_model.KEYS, file, "/model_args")
    named, report = unwrap_names(contents["model"], nanogpt_model.ROOTS, file)
    tensors = drop_masks(named)
    saved = contents.get("optimizer")
    decided = nanogpt_model.decide_activation(args, options, file)
    activation, doubts = nanogpt_model.choose_activation(decided, tensors, saved, options)
    model = nanogpt_model.convert_model(
        {
            **nanogpt_model.convert_model_args(args, file),
            **pick_known_fields(settings, {"batch_size": "batch_size"}),
            "mlp_type": activation,
        },
        tensors,
        path,
    )

    def arranged() -> tuple[dict[str, Any], dict[str, Any]] | None:
        if saved is None:
            return None
        moments = map_moments(
            saved, model.held, model.sources, tensors, model.config, rule=DECAY_RULE, file=file
        )
        return moments, optimizer_settings(saved, file)

    found, flaws = try_optimizer(arranged, file)
    optimizer, used = (None, None) if found is None else found
    lines = [f"read from {path.name}", *report, *_list_schedule_notes(settings)]
    if model.config.dropout:
        lines.append(nanogpt_model.DROPOUT_NOTE)
    tokenizer = _find_tokenizer(path, model.config, options, lines)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=model.document,
        tokenizer=tokenizer,
        training_state=convert_training_state(contents, settings, used, "nanoGPT"),
        tensors=model.tensors,
        optimizer=optimizer,
        report=tuple(lines),
        remarks=(*model.remarks, *doubts),
        flaws=flaws,
    )


def convert_training_state(
    contents: Mapping[str, Any],
    settings: Mapping[str, Any],
    used: Mapping[str, Any] | None,
    program: str,
) -> dict[str, Any] | None:
    """Return the training state; None if the file does not say how far it is.

    Args:
        contents: What the file holds.
        settings: The settings of the training run in it.
        used: The settings of the optimizer, if there is one.
        program: The program that wrote the file, with nanoGPT's trainer.
    """
    step = contents.get("iter_num")
    if step is None:
        return None
    training = {
        # until 27 January 2023 there was none, and no field
        **({"grad_clip": 0.0} if settings else {}),
        **pick_known_fields(settings, _DECAY),
        **(used or {}),
        **pick_known_fields(settings, _TRAINING),
    }
    training["weight_decay_on"] = DECAY_RULE
    if "dtype" in settings:
        amp = _AMP.get(str(settings["dtype"]), {})
        training |= {"use_amp": bool(amp), **amp}
    return {
        **VERSION,
        "step": step,
        "optimizer_file": None if used is None else files.OPTIMIZER,
        "training_config": training,
        "exact": False,
        "inexact_reasons": [f"begun in {program}, which draws other batches"],
    }


def _list_schedule_notes(settings: Mapping[str, Any]) -> list[str]:
    """Return notes on how mypt's schedule differs from nanoGPT's."""
    peak, low = settings.get("learning_rate"), settings.get("min_lr")
    notes = []
    if settings.get("decay_lr") is False:
        notes.append("nanoGPT kept the learning rate constant; mypt decays it to a tenth")
    elif isinstance(peak, float) and isinstance(low, float) and abs(low - peak / 10) > 1e-9 * peak:
        notes.append(f"nanoGPT decayed the learning rate to {low}; mypt's minimum is peak / 10")
    if settings.get("lr_decay_iters") != settings.get("max_iters"):
        notes.append("lr_decay_iters is left out: mypt decays the learning rate until max_iters")
    return notes


def _find_tokenizer(
    path: Path, config: GPTConfig, options: Mapping[str, Any], report: list[str]
) -> Mapping[str, Any] | None:
    if options.get("tokenizer") == NO_TOKENIZER:
        report.append("opened without a tokenizer, as asked")
        return None
    if "chars" in options:
        return make_char_document(options["chars"], config.vocab_size, "--option chars", report)
    meta = Path(options["meta"]) if "meta" in options else path.with_name(META)
    if "meta" in options or files.is_present(meta):
        return _read_meta(meta, config.vocab_size, report)
    if config.vocab_size in _GPT2_SIZES:
        report.append(f"no {META}: GPT-2's tokenizer is used, as in nanoGPT")
        return GPT2
    what = f"does not hold the characters of its {config.vocab_size} ids, nor is a {META} beside it"
    raise missing_option(str(path), what, f"meta={META}", "chars=...", f"tokenizer={NO_TOKENIZER}")


def _read_meta(path: Path, vocab_size: int, report: list[str]) -> Mapping[str, Any]:
    """Read the character vocabulary of a data set."""
    file = str(path)
    try:
        meta = read_plain_pickle(path, file)
    except OSError as error:
        raise missing_option(file, f"cannot be read: {error.strerror}", f"meta={META}") from error
    chars = list_by_id(meta.get("itos"))
    if chars is None:
        raise missing_option(
            file, "has no table of characters (`itos`)", "chars=...", f"tokenizer={NO_TOKENIZER}"
        )
    if not all(isinstance(char, str) for char in chars):
        raise missing_option(
            file, "has ids of something other than text", f"tokenizer={NO_TOKENIZER}"
        )
    return make_char_document(chars, vocab_size, file, report)


OPTIONS = {
    "type": "object",
    "properties": {
        "meta": {"type": "string", "description": "Path of the data set's meta.pkl."},
        "chars": CHARS_OPTION,
        "activation": nanogpt_model.ACTIVATION_OPTION,
        "tokenizer": TOKENIZER_OPTION,
    },
}

READER = ReaderFactory(
    "nanogpt",
    recognises=recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
)
