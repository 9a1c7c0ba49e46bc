"""Write an adapter as a folder that peft loads beside the base as `transformers` has it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.export.differences import FILE, UNSUPPORTED
from mypt.export.hugging_face.classes import describe
from mypt.export.hugging_face.classes import explain as explain_class
from mypt.export.hugging_face.tokenizer import TOKENIZER, make_documents
from mypt.export.peft.names import CONFIG, WEIGHTS, name_tensor
from mypt.format.adapters.places import A, B, find_places
from mypt.format.errors import Problem
from mypt.format.layout import BUILT_IN, lay_out
from mypt.format.readers.shared.tensor_source import split_tensors
from mypt.format.tensors import safetensors
from mypt.plugins.contracts.exporter import ExporterFactory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.config_parts.adapter import Adapter
    from mypt.format.readers.shared.tensor_source import TensorSource
    from mypt.plugins.contracts.exporter import ModelToExport
    from mypt.plugins.contracts.factory import Options

_OPTIONS = {
    "type": "object",
    "properties": {
        "base_model": {
            "type": "string",
            "description": "what peft finds the base by: a folder of `mypt export --to hf`, or a "
            "name on the hub; by default it is left open",
        }
    },
}
# What follows the number of the layer in the name of a module.
_IN_LAYER = re.compile(r"(?:.*\.)?[0-9]+\.(.+)")


@frozen
class _Product:
    """What is added to a matrix of `transformers`: B A, without the scale.

    Attributes:
        a: (rank, columns).
        b: (rows, rank).
    """

    a: Tensor
    b: Tensor


def explain(config: GPTConfig) -> list[Problem]:
    """Return why an adapter cannot be written; nothing if it can."""
    if config.adapter is None:
        what, fix = "is null: this is a whole model", "export it by --to hf"
        return [Problem(FILE, "/adapter", what, fix, kind=UNSUPPORTED)]
    return explain_class(config.without_adapter())


def write(model: ModelToExport, path: Path, options: Options) -> list[str]:
    """Write an adapter as a folder that `peft.PeftModel.from_pretrained` loads.

    Args:
        model: An adapter of a config for which `explain` returns nothing.
        path: Folder to create.
        options: `base_model`.

    Returns:
        What is not as it was, one line each.
    """
    adapter = model.config.adapter
    if adapter is None:
        raise ValueError(model.config)
    whole = model.config.without_adapter()
    documents, _ = make_documents(model.tokenizer, whole.block_size, model.build_tokenizer)
    sources = describe(whole, documents.get(TOKENIZER)).sources
    products = _collect(model, adapter, sources)
    path.mkdir()
    document = _make_document(adapter, products, options.get("base_model"))
    document["fan_in_fan_out"] = any(
        source.transposed and f"{module}.weight" in source.names
        for source in sources.values()
        for module in products
    )
    text = json.dumps(document, indent=2, sort_keys=True)
    (path / CONFIG).write_text(text + "\n", encoding="utf-8", newline="\n")
    _write_tensors(path / WEIGHTS, products)
    joined = [module for module, product in products.items() if len(product.a) > adapter.rank]
    return [f"adapters of parts are joined in {len(joined)} matrices of a higher rank"] * bool(
        joined
    )


def _collect(
    model: ModelToExport, adapter: Adapter, sources: Mapping[str, TensorSource]
) -> dict[str, _Product]:
    """Return what is added to each matrix, by the name of its module in `transformers`."""
    import torch

    found: dict[str, list[_Product]] = {}
    for name, product, rows, total in _list_products(model, adapter):
        b = product.b.new_zeros((total, product.b.size(1)))
        b[rows] = product.b
        marks = torch.zeros((total, 1))
        marks[rows] = 1
        source = sources[f"{name}.weight"]
        marked = _split(source, marks)
        for module, part in _split(source, b).items():
            if marked[module].any():
                found.setdefault(module, []).append(_Product(product.a, part))
    return {
        module: parts[0]
        if len(parts) == 1
        else _Product(torch.cat([p.a for p in parts]), torch.cat([p.b for p in parts], dim=1))
        for module, parts in found.items()
    }


def _list_products(
    model: ModelToExport, adapter: Adapter
) -> Iterator[tuple[str, _Product, slice, int]]:
    """Yield for each adapted matrix its name, what is added, to which rows, and of how many."""
    config, weights = model.config, model.weights
    layout = lay_out(config.without_adapter(), BUILT_IN)
    for layer in range(config.n_layer):
        shapes = layout.layer(layer)
        for place in find_places(shapes, config, adapter):
            within = f"{layout.prefix}{layer}."
            a, b = (weights[f"{within}{place.name}.{part}"] for part in (A, B))
            rows = slice(place.begin, place.begin + place.rows)
            total = shapes[f"{place.matrix}.weight"][0]
            yield f"{within}{place.matrix}", _Product(a, b), rows, total


def _split(source: TensorSource, rows: Tensor) -> dict[str, Tensor]:
    """Return the rows of a matrix in those that it is made of there, by module."""
    parts = split_tensors({"": source}, {"": rows})
    return {
        name.removesuffix(".weight"): part.t() if source.transposed else part
        for name, part in parts.items()
    }


def _make_document(
    adapter: Adapter, products: Mapping[str, _Product], base_model: str | None
) -> dict[str, Any]:
    ranks = {_name_target(module): len(product.a) for module, product in products.items()}
    others = {name: rank for name, rank in ranks.items() if rank != adapter.rank}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "target_modules": sorted(ranks),
        "rank_pattern": others,
        "alpha_pattern": {name: adapter.scale * rank for name, rank in others.items()},
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "use_dora": False,
        "use_rslora": False,
    }


def _name_target(module: str) -> str:
    inside = _IN_LAYER.fullmatch(module)
    return module if inside is None else inside[1]


def _write_tensors(path: Path, products: Mapping[str, _Product]) -> None:
    tensors = {
        name_tensor(module, kind): tensor.contiguous()
        for module, product in products.items()
        for kind, tensor in ((A, product.a), (B, product.b))
    }
    header = {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }
    with path.open("wb") as stream:
        safetensors.write_in_turn(stream, header, iter(tensors.values()))


EXPORTER = ExporterFactory(
    "peft", "peft", explain=explain, write=write, options=_OPTIONS, takes_adapters=True
)
