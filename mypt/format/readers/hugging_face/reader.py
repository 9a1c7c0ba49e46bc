"""Reader of folders of Hugging Face's `save_pretrained`: GPT-2 and Llama."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError
from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.hugging_face.companions import read_companions
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.keys import check_class
from mypt.format.readers.hugging_face.text_rules import (
    TOKENIZER_CONFIG,
    read_chat_templates,
    read_text_rules,
)
from mypt.format.readers.hugging_face.weights import load_folder
from mypt.format.readers.shared.fields import make_unsupported_error, require_bool
from mypt.format.readers.shared.known_keys import check_keys
from mypt.format.readers.shared.tensor_map import find_sources, make_config, map_tensors
from mypt.format.readers.shared.tied_head import describe_untied, is_tied
from mypt.format.readers.shared.vocabulary import (
    NO_TOKENIZER,
    TOKENIZER_OPTION,
    read_hugging_face_document,
)
from mypt.format.readers.shared.wrappers import unwrap_names
from mypt.format.storage.files import read_document
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.contract import Load
    from mypt.format.readers.hugging_face.families.family import Family

CONFIG, TOKENIZER = "config.json", "tokenizer.json"


def recognises(path: Path) -> bool:
    """Return whether this is a Hugging Face folder, of any model family."""
    if not (path / CONFIG).is_file():
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
    """Read the whole folder; such folders have no training state.

    Raises:
        FormatError: It is damaged, or mypt's config cannot express the model.
    """
    file = str(path / CONFIG)
    hf_config, _ = read_document(path / CONFIG, file)
    family = FAMILIES.get(hf_config["model_type"])
    if family is None:
        what = f"is {hf_config['model_type']}; mypt reads {' and '.join(FAMILIES)}"
        raise make_unsupported_error(file, "/model_type", what, "install a plugin that reads it")
    if hf_config.get("quantization_config") is not None:
        what = "declares that the weights are quantized"
        raise make_unsupported_error(
            file, "/quantization_config", what, "save the model without quantization"
        )
    check_class(hf_config, family.classes, file)
    hf_config = _complete(hf_config, family, file)
    fields = family.convert_config(hf_config, file)
    weights = load_folder(path, load)
    named, taken_off = unwrap_names(weights.tensors, family.roots, str(path))
    tensors = {n: t for n, t in named.items() if not family.is_buffer(n)}
    prefix = family.find_prefix(tensors)
    embedding, head = prefix + family.embedding, family.head
    tied, remarks = require_bool(hf_config, "tie_word_embeddings", file), []
    if tied:
        files, _ = unwrap_names(weights.places, family.roots, str(path))
        tied = is_tied(tensors, embedding, head, files)
        remarks = [] if tied else [describe_untied(embedding, head)]
    document, config = make_config({**fields, "tie_weights": tied}, file, family.layouts)
    lookup = family.make_lookup(config, prefix, hf_config)
    sources = find_sources(config, lookup, tensors, str(path), family.layouts)
    if tied:  # only old programs stored a tied head a second time
        tensors.pop(head, None)
        sources[HEAD] = sources[EMBEDDING]
    report = [f"read from {path.name}", *taken_off, *family.list_notes(hf_config)]
    tokenizer = None
    if options.get("tokenizer") == NO_TOKENIZER or not (path / TOKENIZER).is_file():
        report.append(f"no {TOKENIZER} is taken over: the model takes bare ids")
    else:
        tokenizer = _read_tokenizer(path, hf_config, config.vocab_size, report)
    return Checkpoint(
        version=FORMAT_VERSION,
        config=document,
        tokenizer=tokenizer,
        tensors=map_tensors(tensors, sources, config, str(path), family.layouts),
        report=tuple(report),
        remarks=tuple(remarks),
    )


def _read_tokenizer(
    path: Path, hf_config: Mapping[str, Any], vocab_size: int, report: list[str]
) -> dict[str, Any]:
    """Return the fields of mypt's `tokenizer.json`."""
    document = read_hugging_face_document(path / TOKENIZER, vocab_size, report)
    companions = read_companions(path, hf_config)
    templates = read_chat_templates(path, companions.get(TOKENIZER_CONFIG, {}))
    rules = read_text_rules(document, companions, vocab_size, templates)
    return {**document, **rules, "hugging_face": companions}


def _complete(hf_config: Mapping[str, Any], family: Family, file: str) -> dict[str, Any]:
    """Return the config under the names of its class, with its defaults for what it leaves out.

    Raises:
        FormatError: It has a key that mypt does not know, or two names of one key that differ.
    """
    named: dict[str, Any] = {}
    for key, value in hf_config.items():
        own = family.aliases.get(key, key)
        if named.setdefault(own, value) != value:
            what = f"is {value!r} here and {named[own]!r} under its other name"
            raise make_unsupported_error(file, f"/{key}", what, "remove the one that does not hold")
    check_keys(named, family.keys, file)
    return {**family.defaults, **named}


OPTIONS = {"type": "object", "properties": {"tokenizer": TOKENIZER_OPTION}}
READER = ReaderFactory(
    "hugging_face",
    recognises=recognises,
    read=read,
    options=OPTIONS,
    takes_infos=True,
    defers=defers,
)
