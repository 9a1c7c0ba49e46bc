"""The files of weights of a folder: one, or several with an index as `transformers` has it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mypt.format.tensors import safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypt.export.hugging_face.weights import ForeignTensor, ForeignWeights

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_PATTERN = rf"^[0-9]+(\.[0-9]+)?({'|'.join(_UNITS)})$"
SIZE_SCHEMA = {
    "type": ["integer", "string"],
    "minimum": 1,
    "pattern": _PATTERN,
    "description": "size of a file of weights at most, such as 500MB or 5GB, or in bytes; by "
    "default there is one file",
}


def parse_size(given: int | str | None) -> int | None:
    """Return a number of bytes that `SIZE_SCHEMA` accepts."""
    if given is None or isinstance(given, int):
        return given
    number, unit = re.fullmatch(r"([0-9.]+)([A-Z]+)", given).groups()  # type: ignore[union-attr]
    return int(float(number) * _UNITS[unit])


def write_weights(folder: Path, weights: ForeignWeights, max_bytes: int | None) -> None:
    """Write the tensors in order; a tensor that is larger than a file may be has its own.

    Args:
        folder: Where the files go.
        weights: The tensors.
        max_bytes: Size of the tensors of one file, unless it has but one; None for one file.
    """
    shards = list(_split(weights.tensors, max_bytes))
    made = weights.make()
    names = [_WHOLE]
    if len(shards) > 1:
        names = [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        header = {tensor.name: (tensor.dtype, tensor.shape) for tensor in shard}
        with (folder / name).open("wb") as stream:
            safetensors.write_in_turn(stream, header, made)
    if len(shards) > 1:
        index = _make_index(dict(zip(names, shards, strict=True)))
        (folder / _INDEX).write_text(index, encoding="utf-8", newline="\n")


def _split(
    tensors: tuple[ForeignTensor, ...], max_bytes: int | None
) -> Iterator[list[ForeignTensor]]:
    shard: list[ForeignTensor] = []
    held = 0
    for tensor in tensors:
        if shard and max_bytes is not None and held + tensor.size_bytes > max_bytes:
            yield shard
            shard, held = [], 0
        shard.append(tensor)
        held += tensor.size_bytes
    yield shard


def _make_index(shards: dict[str, list[ForeignTensor]]) -> str:
    """Return the index, byte for byte as `transformers` writes one of the same files."""
    every = [tensor for shard in shards.values() for tensor in shard]
    index: dict[str, Any] = {
        "metadata": {
            "total_parameters": sum(tensor.numel for tensor in every),
            "total_size": sum(tensor.size_bytes for tensor in every),
        },
        "weight_map": {tensor.name: file for file, shard in shards.items() for tensor in shard},
    }
    return json.dumps(index, indent=2, sort_keys=True) + "\n"
