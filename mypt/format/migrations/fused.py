"""One attention matrix out of a matrix per head."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mypt.format.arrange import join
from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEAD = re.compile(
    r"(?P<layer>.*\.sa)\.heads\.(?P<head>\d+)\.(?P<role>query|key|value)\.(?P<kind>\w+)"
)
ROLES = ("query", "key", "value")

_FIX = "restore the file: this model would compute something else"

# Name in version 2 -> names in version 1 whose rows follow each other in it.
Sources = dict[str, tuple[str, ...]]


def fused_sources(names: Iterable[str]) -> Sources:
    """Say which tensors make up each tensor of version 2, in the order of version 2.

    Args:
        names: Names of version 1, in the model's parameter order.

    Raises:
        FormatError: A head lacks one of its matrices.
    """
    names = list(names)
    sources: Sources = {}
    for name in names:
        match = _HEAD.fullmatch(name)
        if match is None:
            sources[name] = (name,)
            continue
        fused = f"{match['layer']}.qkv.{match['kind']}"
        if fused not in sources:
            sources[fused] = _parts(match["layer"], match["kind"], names)
    return sources


def fuse_heads(tensors: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Join the rows of all queries, then keys, then values: (3 n_embd, n_embd) per layer.

    Raises:
        FormatError: Heads differ in shape.
    """
    for parts in sources.values():
        _check_shapes(parts, tensors)
    return {name: join([tensors[part] for part in parts]) for name, parts in sources.items()}


def _parts(layer: str, kind: str, names: list[str]) -> tuple[str, ...]:
    found = [_HEAD.fullmatch(name) for name in names]
    heads = sorted({int(m["head"]) for m in found if m is not None and m["layer"] == layer})
    parts = tuple(f"{layer}.heads.{head}.{role}.{kind}" for role in ROLES for head in heads)
    missing = sorted(set(parts) - set(names))
    if missing:
        problems = [Problem("model.pt", name, "is missing", _FIX) for name in missing]
        raise FormatError(*problems)
    return parts


def _check_shapes(parts: tuple[str, ...], tensors: Mapping[str, Any]) -> None:
    shape = tuple(tensors[parts[0]].shape)
    problems = [
        Problem("model.pt", part, f"is {tuple(tensors[part].shape)}, {parts[0]} is {shape}", _FIX)
        for part in parts
        if tuple(tensors[part].shape) != shape
    ]
    if problems:
        raise FormatError(*problems)
