"""Write a model as a folder of Hugging Face's `transformers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.export.hugging_face.card import make_card
from mypt.export.hugging_face.classes import describe, explain
from mypt.export.hugging_face.shards import SIZE_SCHEMA, parse_size, write_weights
from mypt.export.hugging_face.tokenizer import ENDS, GENERATION, TOKENIZER, make_documents
from mypt.export.hugging_face.weights import DTYPES, lay_out_weights
from mypt.plugins.contracts.exporter import ExporterFactory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.plugins.contracts.exporter import ModelToExport
    from mypt.plugins.contracts.factory import Options

_OPTIONS = {
    "type": "object",
    "properties": {
        "dtype": {
            "enum": [*DTYPES],
            "description": f"dtype of the tensors, one of {', '.join(DTYPES)}; by default that "
            "of the model",
        },
        "max_shard_size": SIZE_SCHEMA,
    },
}


def write(model: ModelToExport, path: Path, options: Options) -> list[str]:
    """Write a model as a folder that `transformers` opens, with its tokenizer and a model card.

    The logits are the same, but for the rounding of another `dtype`.

    Args:
        model: A model of a config for which `explain` returns nothing.
        path: Folder to create.
        options: `dtype`, and `max_shard_size`, from which on there are several files of weights.

    Returns:
        What was folded into other tensors or left out, one line each.

    Raises:
        FormatError: A tensor has values that the dtype does not.
    """
    documents, notes = make_documents(
        model.tokenizer, model.config.block_size, model.build_tokenizer
    )
    told = describe(model.config, documents.get(TOKENIZER))
    weights = lay_out_weights(told, model.weights, options.get("dtype"))
    ends = documents[GENERATION]
    config = {
        **told.hf_config,
        **({} if weights.dtype is None else {"dtype": weights.dtype, "torch_dtype": weights.dtype}),
        **{f"{end}_token_id": ends.get(f"{end}_token_id") for end in ENDS},
    }
    path.mkdir()
    for name, document in {"config": config, **documents}.items():
        _write_json(path / f"{name}.json", document)
    write_weights(path, weights, parse_size(options.get("max_shard_size")))
    notes = [*told.notes, *notes]
    card = make_card(
        path.name,
        model,
        config,
        weights.numel,
        has_tokenizer=TOKENIZER in documents,
        notes=notes,
    )
    (path / "README.md").write_text(card, encoding="utf-8", newline="\n")
    return notes


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as `transformers` and `tokenizers` do, byte for byte."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    end = "" if path.stem == TOKENIZER else "\n"
    path.write_text(text + end, encoding="utf-8", newline="\n")


EXPORTER = ExporterFactory("hf", "Hugging Face", explain=explain, write=write, options=_OPTIONS)
