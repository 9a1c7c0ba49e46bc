"""The adapters of build_llm_karpathy as an adapter of mypt, beside a bundle of their base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.adapters.places import A, B
from mypt.format.bundle.base import digest_weights
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.format.documents.convert import to_recorded_document
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.adapters.convert import Product, convert
from mypt.format.storage.files import is_present
from mypt.format.storage.recorded_paths import record_path
from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.transforms import have_equal_bits, transpose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.readers.shared.tensor_source import TensorSource

_HEADS = ("lm_head", "model.lm_head")  # outside of layers, where mypt has no adapters


def split_adapters(
    tensors: Mapping[str, Any], layers: Iterable[str], alpha: float, file: str
) -> tuple[dict[str, Any], dict[str, Product]]:
    """Return the tensors without the adapters of layers, and those by the name of their module.

    The adapter of the output layer stays among the tensors.

    Args:
        tensors: The tensors of the file.
        layers: Names of the modules that have adapters.
        alpha: LoRA's alpha.
        file: Name of the file, for messages.

    Raises:
        FormatError: A part of an adapter is missing.
    """
    rest, products = dict(tensors), {}
    for name in sorted({*layers} - {*_HEADS}):
        parts = [rest.pop(f"{name}.{part}", None) for part in (A, B)]
        if None in parts or f"{name}.base_layer.weight" not in rest:
            what, fix = "is not whole: a part of the adapter is missing", "restore the file"
            raise FormatError(Problem(file, name, what, fix, kind="tensor.missing"))
        for kind in ("weight", "bias"):
            if f"{name}.base_layer.{kind}" in rest:
                rest[f"{name}.{kind}"] = rest.pop(f"{name}.base_layer.{kind}")
        a, b = parts  # (in, rank) and (rank, out)
        products[name] = Product(transpose(a), transpose(b), alpha / a.shape[1])
    return {name: rest[name] for name in _in_order(tensors, rest)}, products


def _in_order(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names that are left, in the order of the file."""
    return [
        name
        for old in before
        for name in (old.replace(".base_layer.", "."), old)
        if name in after and (name == old or old not in after)
    ]


def make_adapter(
    products: Mapping[str, Product],
    sources: Mapping[str, TensorSource],
    config: GPTConfig,
    weights: Mapping[str, Any],
    base: str,
    file: str,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the config and the tensors of an adapter beside a bundle.

    Args:
        products: What the adapters add, by the name of the module.
        sources: Where the tensors of the base are in the file.
        config: The base.
        weights: Its tensors.
        base: The bundle.
        file: Name of the file, for messages.

    Raises:
        FormatError: The bundle is of other weights, or the adapters cannot be one of mypt.
    """
    _ensure_base(Path(base), weights)
    found = convert(products, sources, config, file)
    recorded = record_path(base)
    adapter = Adapter(
        rank=found.rank,
        alpha=found.alpha,
        targets=found.targets,
        base=recorded if is_present(Path(recorded)) else base,
        base_sha256=digest_weights(Path(base)),
    )
    return to_recorded_document(config.with_adapter(adapter)), found.tensors


def _ensure_base(base: Path, weights: Mapping[str, Any]) -> None:
    """Raise if a bundle does not have the weights that the adapters were trained beside."""
    bundle = read_bundle(base)
    if any(isinstance(tensor, TensorInfo) for tensor in weights.values()):
        return  # who only looks reads no weights
    held = bundle.weights()
    same = held.keys() == weights.keys() and all(
        have_equal_bits(held[name], tensor) for name, tensor in weights.items()
    )
    if not same:
        what = "has other weights than the file whose adapters are read"
        fix = "make it of that file, by --option adapter=left_out"
        raise FormatError(Problem(str(base), "", what, fix, kind="adapter.base"))
