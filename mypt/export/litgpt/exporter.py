"""Write a model as a folder of litgpt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mypt.export.hugging_face.tokenizer import CONFIG as TOKENIZER_CONFIG
from mypt.export.hugging_face.tokenizer import TOKENIZER, make_documents
from mypt.export.litgpt.description import describe, explain
from mypt.format.layout import BUILT_IN, EMBEDDING, expected_tensors
from mypt.format.readers.litgpt.reader import CONFIG, WEIGHTS
from mypt.format.readers.litgpt.tensor_names import make_lookup
from mypt.format.readers.litgpt.yaml_document import import_yaml
from mypt.format.readers.shared.tensor_source import split_tensors
from mypt.format.tensors.pt_writer import write_tensors
from mypt.plugins.contracts.exporter import ExporterFactory

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.plugins.contracts.exporter import ModelToExport
    from mypt.plugins.contracts.factory import Options


def write(model: ModelToExport, path: Path, _: Options) -> list[str]:
    """Write a model as a folder that litgpt loads, with its tokenizer.

    litgpt has no tied head: the embedding is stored as the output layer as well.

    Args:
        model: The model.
        path: Folder to create.

    Returns:
        What was added or left out, one line each.

    Raises:
        FormatError: PyYAML is not installed.
    """
    path.mkdir(exist_ok=True)
    config_file = path / CONFIG
    yaml = import_yaml(config_file.name)
    found = describe(model.config)
    theirs = model.config if found.config is None else found.config
    lookup, wanted = make_lookup(theirs), expected_tensors(theirs, BUILT_IN)
    like = model.weights[EMBEDDING]
    zeros = {n: like.new_zeros(shape) for n, shape in wanted.items() if n not in model.weights}
    sources = {name: lookup(name) for name in wanted}
    with (path / WEIGHTS).open("wb") as stream:
        write_tensors(stream, {"model": split_tensors(sources, {**model.weights, **zeros})})
    config_file.write_text(yaml.safe_dump(dict(found.document)), encoding="utf-8", newline="\n")
    notes = [f"{name} is written as zeros: litgpt has it" for name in zeros]
    return [*notes, *_write_tokenizer(model, path)]


def _write_tokenizer(model: ModelToExport, path: Path) -> list[str]:
    """Write the documents of the tokenizer; litgpt asks its config for the token before a text."""
    state, size = model.tokenizer, model.config.block_size
    documents, notes = make_documents(state, size, model.build_tokenizer)
    if state is not None and TOKENIZER in documents:
        given = documents[TOKENIZER_CONFIG]
        documents[TOKENIZER_CONFIG] = {**given, "add_bos_token": bool(state.begin_ids)}
    for name, document in documents.items():
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (path / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
    return notes


EXPORTER = ExporterFactory("litgpt", "litgpt", explain=explain, write=write)
