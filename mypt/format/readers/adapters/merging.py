"""Merge LoRA adapters into the matrices that they adapt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.errors import FormatError, Problem
from mypt.format.tensors.transforms import add_product, transpose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.format.readers.shared.tensor_source import TensorSource

_PARTS = ("base_layer.weight", "lora_A", "lora_B")
_PART = re.compile(r"(.+)\.(?:lora_A|lora_B|base_layer\.\w+)")
_FIX = "restore the file: this model would compute something else"


def find_adapted_layers(tensors: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of layers that have an adapter, or a part of one."""
    return frozenset(part[1] for name in tensors if (part := _PART.fullmatch(name)))


def redirect_sources(
    sources: Mapping[str, TensorSource], layers: frozenset[str]
) -> dict[str, TensorSource]:
    """Point the sources of adapted layers to the base layers' names in the file."""

    def adapted(name: str) -> str:
        layer, _, kind = name.rpartition(".")
        return f"{layer}.base_layer.{kind}" if layer in layers else name

    return {
        name: evolve(source, names=tuple(map(adapted, source.names)))
        for name, source in sources.items()
    }


def merge_adapters(
    tensors: Mapping[str, Any],
    alpha: float,
    is_transposed: Callable[[str], bool],
    file: str,
) -> dict[str, Any]:
    """Return the tensors of a model without adapters that computes the same.

    Args:
        tensors: Include `X.base_layer.weight` (out, in), `X.lora_A` (in, r), `X.lora_B` (r, out).
        alpha: LoRA's alpha; the product of the adapter is scaled by alpha / r.
        is_transposed: Whether the matrix of `X` is stored as (in, out).
        file: Name of the file, for messages.

    Raises:
        FormatError: A part of an adapter is missing or does not fit the others.

    Source: Hu et al. 2021, section 4.1.
    """
    layers = find_adapted_layers(tensors)
    problems = [
        Problem(file, name, "is missing", _FIX, kind="tensor.missing")
        for name in (f"{layer}.{part}" for layer in sorted(layers) for part in _PARTS)
        if name not in tensors
    ]
    if problems:
        raise FormatError(*problems)
    merged = {n: t for n, t in tensors.items() if not n.endswith((".lora_A", ".lora_B"))}
    for layer in layers:
        adapter = (tensors[f"{layer}.lora_A"], tensors[f"{layer}.lora_B"])
        name = f"{layer}.base_layer.weight"
        merged[name] = _merge_adapter(
            layer, merged[name], adapter, alpha, is_transposed(layer), file
        )
    return merged


def _merge_adapter(
    layer: str, base: Any, adapter: tuple[Any, Any], alpha: float, transposed: bool, file: str
) -> Any:
    a, b = adapter
    product = (*a.shape[:1], *b.shape[1:])  # (in, out)
    fits = len(a.shape) == len(b.shape) == 2 and a.shape[1] == b.shape[0] > 0
    if not fits or product != tuple(base.shape)[:: 1 if transposed else -1]:
        shapes = dict(zip(_PARTS, (tuple(t.shape) for t in (base, a, b)), strict=True))
        held = ", ".join(f"{part} {shape}" for part, shape in shapes.items())
        what = f"does not fit its adapter: {held}"
        raise FormatError(
            *(Problem(file, f"{layer}.{p}", what, _FIX, kind="tensor.shape") for p in _PARTS)
        )
    scale = alpha / a.shape[1]
    if transposed:
        return add_product(base, a, b, scale)
    return add_product(base, transpose(b), transpose(a), scale)
