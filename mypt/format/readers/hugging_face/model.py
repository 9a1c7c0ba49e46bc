"""A model of transformers in mypt's terms, from its config and its tensors, wherever they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.convert import to_recorded_document
from mypt.format.layout import EMBEDDING, HEAD, expected_tensors
from mypt.format.readers.foreign_model import ForeignModel
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.families.refused import make_refusal
from mypt.format.readers.hugging_face.keys import check_class
from mypt.format.readers.hugging_face.own_config import (
    drop_zero_biases,
    is_zero,
    read_own_config,
)
from mypt.format.readers.shared.fields import make_unsupported_error, require_bool
from mypt.format.readers.shared.known_keys import check_keys
from mypt.format.readers.shared.tensor_map import find_sources, make_config, map_tensors
from mypt.format.readers.shared.tensor_source import fold_attention_scale
from mypt.format.readers.shared.tied_head import describe_untied, is_tied
from mypt.format.readers.shared.wrappers import unwrap_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.readers.hugging_face.families.family import Family


def find_family(hf_config: Mapping[str, Any], file: str) -> Family:
    """Return the family of a model, of those that mypt reads.

    Args:
        hf_config: What is in `config.json`, with a `model_type`.
        file: Its name, for messages.

    Raises:
        FormatError: It is of another family, of another program's class, or quantized.
    """
    family = FAMILIES.get(hf_config["model_type"])
    if family is None:
        raise make_refusal(hf_config["model_type"], FAMILIES, file)
    if hf_config.get("quantization_config") is not None:
        what = "declares that the weights are quantized"
        raise make_unsupported_error(
            file, "/quantization_config", what, "save the model without quantization"
        )
    check_class(hf_config, family.classes, family.ported, file)
    return family


def convert_model(
    hf_config: Mapping[str, Any],
    tensors: Mapping[str, Any],
    places: Mapping[str, Path],
    *,
    config_file: str,
    file: str,
) -> ForeignModel:
    """Return a model; a head that it stores and that differs from its embedding is its own.

    Args:
        hf_config: What is in `config.json`, with a `model_type`.
        tensors: The tensors in the files, with any prefix of a wrapper, or their descriptions.
        places: The file of each.
        config_file: Name of the config, for messages.
        file: Name of what holds the tensors, for messages.

    Raises:
        FormatError: mypt's config cannot express the model, or the tensors do not fit it.
    """
    family = find_family(hf_config, config_file)
    complete = _complete(hf_config, family, config_file)
    fields = family.convert_config(complete, config_file)
    named, taken_off = unwrap_names(tensors, family.roots, file)
    held = {family.find_name(n): t for n, t in named.items() if not family.is_buffer(n)}
    prefix = family.find_prefix(held)
    embedding, head = prefix + family.embedding, family.head
    tied, remarks = require_bool(complete, "tie_word_embeddings", config_file), []
    unwrapped, _ = unwrap_names(places, family.roots, file)
    files = {family.find_name(name): path for name, path in unwrapped.items()}
    if tied:
        tied = is_tied(held, embedding, head, files)
        remarks = [] if tied else [describe_untied(embedding, head)]
    document, config = make_config({**fields, "tie_weights": tied}, config_file, family.layouts)
    own = read_own_config(complete, config, config_file, family.layouts)
    lookup = fold_attention_scale(family.make_lookup(config, prefix, complete), own, config)
    sources = find_sources(config, lookup, held, file, family.layouts)
    if tied:  # only old programs stored a tied head a second time
        held.pop(head, None)
        sources[HEAD] = sources[EMBEDDING]
    mapped = map_tensors(held, sources, config, file, family.layouts)
    own = drop_zero_biases(
        own, config, sources, lambda name: is_zero(held[name], files[name]), family.layouts
    )
    kept = expected_tensors(own, family.layouts)
    return ForeignModel(
        document=document if own is config else to_recorded_document(own),
        config=own,
        sources={name: sources[name] for name in kept},
        held=held,
        tensors={name: mapped[name] for name in kept},
        layouts=family.layouts,
        report=(*taken_off, *family.list_notes(complete)),
        remarks=tuple(remarks),
    )


def _complete(hf_config: Mapping[str, Any], family: Family, file: str) -> dict[str, Any]:
    """Return the config under the names of its class, with its defaults for what it leaves out.

    Raises:
        FormatError: It has a key that mypt does not know, or two names of one key that differ.
    """
    named: dict[str, Any] = {}
    for key, value in hf_config.items():
        own = family.aliases.get(key, key)
        if named.setdefault(own, value) != value:
            what = f"is {value!r:.60} here and {named[own]!r:.60} under its other name"
            raise make_unsupported_error(file, f"/{key}", what, "remove the one that does not hold")
    check_keys(named, family.keys, file)
    return {**family.defaults, **named}
