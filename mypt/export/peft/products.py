"""What an adapter of peft adds to each module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.export.peft.names import name_tensor, parse_tensor
from mypt.format.adapters.places import A, B
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.adapters.convert import Product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.export.peft.settings import PeftSettings

_FIX = "merge it with peft's merge_and_unload(), and save the whole with save_pretrained"


def read_products(
    tensors: Mapping[str, Any], settings: PeftSettings, file: str
) -> dict[str, Product]:
    """Return what an adapter adds to each module.

    Args:
        tensors: The tensors of its file.
        settings: What its config says.
        file: Name of the file, for messages.

    Raises:
        FormatError: A tensor is missing, or is of no linear layer.
    """
    held: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        parsed = parse_tensor(name)
        if parsed is None:
            raise FormatError(_problem(file, name, "is no matrix of LoRA for a linear layer"))
        held.setdefault(parsed[0], {})[parsed[1]] = tensor
    products, problems = {}, []
    for module, pair in held.items():
        rank = settings.rank_of(module)
        for kind, dim in ((A, 0), (B, 1)):
            shape = tuple(pair[kind].shape) if kind in pair else ()
            if len(shape) != 2 or shape[dim] != rank:
                what = f"has shape {shape}, and the rank is {rank}" if shape else "is missing"
                problems.append(_problem(file, name_tensor(module, kind), what))
        if not problems:
            products[module] = Product(pair[A], pair[B], settings.scale_of(module))
    if problems:
        raise FormatError(*problems[:20])
    return products


def _problem(file: str, module: str, what: str) -> Problem:
    return Problem(file, module, what, _FIX, kind="adapter.module")
