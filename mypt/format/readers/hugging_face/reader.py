"""Reader of folders of Hugging Face's `save_pretrained`: models of known families."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.model import convert_model, find_family
from mypt.format.readers.hugging_face.tokenizer.folder import has_tokenizer, read_tokenizer
from mypt.format.readers.hugging_face.trainer.checkpoint import read_training
from mypt.format.readers.hugging_face.weights import load_folder
from mypt.format.readers.shared.vocabulary import NO_TOKENIZER, TOKENIZER_OPTION
from mypt.format.storage.files import is_regular_file, read_document
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load

CONFIG = "config.json"


def recognises(path: Path) -> bool:
    """Return whether this is a Hugging Face folder, of any model family."""
    if not is_regular_file(path / CONFIG):
        return False
    try:
        hf_config, _ = read_document(path / CONFIG, CONFIG)
    except (FormatError, OSError):
        return False
    return isinstance(hf_config.get("model_type"), str) and "format_version" not in hf_config


def defers(path: Path) -> bool:
    """Return whether a Hugging Face folder is of a family that mypt does not read."""
    hf_config, _ = read_document(path / CONFIG, CONFIG)
    return hf_config["model_type"] not in FAMILIES


def read(path: Path, load: Load, options: Mapping[str, Any]) -> Checkpoint:
    """Read the whole folder, with the training of one that Trainer wrote.

    Raises:
        FormatError: It is damaged, or mypt's config cannot express the model.
    """
    file = str(path / CONFIG)
    hf_config, _ = read_document(path / CONFIG, file)
    find_family(hf_config, file)  # before any weights are looked for
    weights = load_folder(path, load)
    model = convert_model(
        hf_config, weights.tensors, weights.places, config_file=file, file=str(path)
    )
    training = read_training(path, hf_config["model_type"], model, load)
    report = [f"read from {path.name}", *model.report, *training.report]
    tokenizer = None
    if options.get("tokenizer") == NO_TOKENIZER or not has_tokenizer(path):
        report.append("no tokenizer is taken over: the model takes bare ids")
    else:
        tokenizer = read_tokenizer(path, hf_config, model.config.vocab_size, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config={**model.document, **training.config_fields},
        tokenizer=tokenizer,
        training_state=training.state,
        tensors=model.tensors,
        optimizer=training.optimizer,
        report=tuple(report),
        remarks=model.remarks,
        flaws=training.flaws,
    )


OPTIONS = {"type": "object", "properties": {"tokenizer": TOKENIZER_OPTION}}
READER = ReaderFactory(
    "hugging_face",
    recognises=recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
    defers=defers,
)
