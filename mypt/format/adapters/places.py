"""Where an adapter's matrices are in a layer: their names and shapes, by those of the base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.config_parts.adapter import Adapter

    Shape = tuple[int, ...]
    Tensors = dict[str, Shape]

A, B = "lora_A", "lora_B"
_WEIGHT = ".weight"
# The matrix of queries, keys and values, whose parts may have adapters of their own.
_JOINT = "sa.qkv"
JOINT, PARTS = "qkv", ("q", "k", "v")


@frozen
class Place:
    """A matrix with an adapter, or the rows of one.

    Attributes:
        matrix: The matrix within its layer, without `.weight`, such as `sa.qkv`.
        part: The part of it that the adapter is for: `q`, `k` or `v`; "" for the whole.
        begin: The first row that is adapted.
        rows: How many rows are.
        columns: How many columns the matrix has.
    """

    matrix: str
    part: str
    begin: int
    rows: int
    columns: int

    @property
    def name(self) -> str:
        """Its name within the layer, which the names of its tensors begin with."""
        return f"{self.matrix}.{self.part}" if self.part else self.matrix

    def shapes(self, rank: int) -> Tensors:
        """Return the shapes of its tensors by name within the layer."""
        return {f"{self.name}.{A}": (rank, self.columns), f"{self.name}.{B}": (self.rows, rank)}


def find_places(layer: Mapping[str, Shape], config: GPTConfig, adapter: Adapter) -> list[Place]:
    """Return where an adapter has matrices in a layer, in the layer's order.

    Args:
        layer: Shapes of the base's tensors in the layer, by name within it.
        config: The architecture.
        adapter: The adapter.
    """
    targets, found = {*adapter.targets}, []
    for name, (rows, columns) in list_matrices(layer).items():
        if any(is_target(name, target) for target in targets):
            found.append(Place(name, "", 0, rows, columns))
        elif _has_parts(name, config):
            found += [p for p in _list_parts(name, columns, config) if p.part in targets]
    return found


def list_matrices(layer: Mapping[str, Shape]) -> dict[str, tuple[int, int]]:
    """Return the shapes of the matrices of a layer, by name without `.weight`."""
    return {
        name.removesuffix(_WEIGHT): (shape[0], shape[1])
        for name, shape in layer.items()
        if name.endswith(_WEIGHT) and len(shape) == 2
    }


def is_target(matrix: str, target: str) -> bool:
    """Return whether a target names a matrix: whole words at the end of its name."""
    return matrix == target or matrix.endswith(f".{target}")


def name_target(matrix: str) -> str:
    """Return the target that names a matrix of a layer: its name without the part's place."""
    return matrix.partition(".")[2] or matrix


def list_targets(layer: Mapping[str, Shape], config: GPTConfig) -> dict[str, tuple[str, ...]]:
    """Return the targets that a layer has; of each, those that name parts of it."""
    return {
        name_target(name): PARTS if _has_parts(name, config) else ()
        for name in list_matrices(layer)
    }


def adapter_tensors(layer: Mapping[str, Shape], config: GPTConfig, adapter: Adapter) -> Tensors:
    """Return the shapes of an adapter's tensors in a layer, by name within it."""
    tensors: Tensors = {}
    for place in find_places(layer, config, adapter):
        tensors |= place.shapes(adapter.rank)
    return tensors


def _has_parts(matrix: str, config: GPTConfig) -> bool:
    return matrix == _JOINT and config.attention_type == "causal"


def _list_parts(matrix: str, columns: int, config: GPTConfig) -> Iterator[Place]:
    begin = 0
    widths = config.attention_width, config.kv_width, config.kv_width
    for part, rows in zip(PARTS, widths, strict=True):
        yield Place(matrix, part, begin, rows, columns)
        begin += rows
