"""Write a model as a GGUF file, which llama.cpp and what is built on it read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mypt.export.gguf.file import DTYPES, FILE_TYPES, StoredTensor, choose_type, write_file
from mypt.export.gguf.model import describe, explain
from mypt.export.gguf.vocabulary import describe_vocabulary
from mypt.format.readers.gguf.rope_factors import FACTORS
from mypt.format.readers.shared.tensor_source import group_sources, source_shapes, split_tensors
from mypt.format.version import MYPT_VERSION
from mypt.plugins.contracts.exporter import ExporterFactory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from mypt.export.gguf.model import LlamaCppModel
    from mypt.format.readers.shared.tensor_source import TensorSource
    from mypt.plugins.contracts.exporter import ModelToExport
    from mypt.plugins.contracts.factory import Options

_QUANTIZED, _QUANTIZATION = "Q8_0", 2
_OPTIONS = {
    "type": "object",
    "properties": {
        "dtype": {
            "enum": [*DTYPES],
            "description": "type of the matrices: F32, F16, BF16 or Q8_0; by default that of the "
            "model",
        },
    },
}


def write(model: ModelToExport, path: Path, options: Options) -> list[str]:
    """Write a model as a file that llama.cpp opens, with its tokenizer.

    The logits are the same, but for the rounding of another `dtype`, and of llama.cpp itself.

    Args:
        model: A model of a config for which `explain` returns nothing.
        path: File to create.
        options: `dtype`.

    Returns:
        What was folded into other tensors or left out, one line each.

    Raises:
        FormatError: A tensor has values that the dtype does not.
        PluginError: The package `gguf` is not installed.
    """
    told = describe(model.config)
    dtype = options.get("dtype")
    wanted = _find_type(model) if dtype is None else DTYPES[dtype]
    vocabulary, notes = describe_vocabulary(
        model.tokenizer, model.config.vocab_size, model.build_tokenizer
    )
    tensors = list(_list_tensors(told, model.weights, wanted))
    held = {tensor.type_name for tensor in tensors if len(tensor.shape) > 1}
    name = told.architecture.name
    metadata = {
        "general.type": "model",
        "general.name": path.stem,
        "general.description": _describe_origin(model),
        "general.file_type": FILE_TYPES[wanted],
        **({"general.quantization_version": _QUANTIZATION} if _QUANTIZED in held else {}),
        **{f"{name}.{key}": value for key, value in told.keys.items()},
        **vocabulary,
    }
    write_file(path, name, metadata, tensors)
    if wanted == _QUANTIZED and "F16" in held:
        notes.append("matrices whose rows are no multiple of 32 are stored in F16")
    return [*told.notes, *notes]


def _find_type(model: ModelToExport) -> str:
    """Return the type of the model's matrices; F32 where they have several."""
    dtypes = {str(t.dtype).removeprefix("torch.") for t in model.weights.values() if t.dim() > 1}
    return DTYPES.get(dtypes.pop(), "F32") if len(dtypes) == 1 else "F32"


def _list_tensors(
    told: LlamaCppModel, weights: Mapping[str, Tensor], wanted: str
) -> Iterator[StoredTensor]:
    """Yield the tensors of the file, those of one place after the other."""
    import torch

    for sources in group_sources(told.sources):
        held = {name: weights[name] for name in sources}
        own, source = next(iter(sources.items()))
        for name, shape in source_shapes(source, tuple(held[own].shape)).items():
            make = partial(_split, name, sources, held, told.norm_offset)
            yield StoredTensor(name, choose_type(name, shape, wanted), shape, make)
    for name, shape in told.zeros.items():
        make_zeros = partial(torch.zeros, shape)
        yield StoredTensor(name, choose_type(name, shape, wanted), shape, make_zeros)
    if told.factors:
        make_factors = partial(torch.tensor, list(told.factors), dtype=torch.float32)
        yield StoredTensor(FACTORS, "F32", (len(told.factors),), make_factors)


def _split(
    name: str,
    sources: Mapping[str, TensorSource],
    weights: Mapping[str, Tensor],
    norm_offset: float,
) -> Tensor:
    """Return one tensor of the file."""
    if norm_offset:
        weights = {
            own: tensor + norm_offset if _is_norm(own) else tensor
            for own, tensor in weights.items()
        }
    return split_tensors(sources, weights)[name]


def _is_norm(name: str) -> bool:
    """Return whether a tensor is the weight of a norm."""
    module, _, kind = name.rpartition(".")
    last = module.rpartition(".")[2]
    return kind == "weight" and (last.startswith("ln") or last.endswith("norm"))


def _describe_origin(model: ModelToExport) -> str:
    """Return how the model was made, in one line."""
    state = model.training_state
    parts = [f"trained with mypt and exported by mypt {MYPT_VERSION}"]
    if state is not None:
        parts.append(f"{state.step} updates")
        best = state.gold.best_val_loss if state.gold else None
        if best is not None:
            parts.append(f"best validation loss {best:.4f}")
    return "; ".join(parts)


EXPORTER = ExporterFactory("gguf", "llama.cpp", explain=explain, write=write, options=_OPTIONS)
