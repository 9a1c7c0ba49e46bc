"""Fuse the per-head attention matrices of version 1 into one matrix per layer."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem, limit_problems
from mypt.format.storage import files
from mypt.format.tensors.transforms import join_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_HEAD = re.compile(
    r"(?P<layer>.*\.sa)\.heads\.(?P<head>[0-9]{1,6})\.(?P<role>query|key|value)\.(?P<kind>\w+)"
)
ROLES = ("query", "key", "value")

_FIX = "restore the file: this model would compute something else"

# Name in version 2 -> names in version 1 whose rows make it up, in order.
Sources = dict[str, tuple[str, ...]]


def find_fused_sources(names: Iterable[str]) -> Sources:
    """Return which tensors make up each tensor of version 2, in the order of version 2.

    Args:
        names: Names of version 1, in the model's parameter order.

    Raises:
        FormatError: A head lacks one of its matrices.
    """
    found = {name: _HEAD.fullmatch(name) for name in names}
    heads: dict[str, set[int]] = defaultdict(set)
    for part in filter(None, found.values()):
        heads[part["layer"]].add(int(part["head"]))
    sources: Sources = {}
    for name, match in found.items():
        if match is None:
            sources[name] = (name,)
            continue
        fused = f"{match['layer']}.qkv.{match['kind']}"
        if fused not in sources:
            sources[fused] = tuple(
                f"{match['layer']}.heads.{head}.{role}.{match['kind']}"
                for role in ROLES
                for head in sorted(heads[match["layer"]])
            )
            _check_names(sources[fused], found.keys())
    return sources


def fuse_heads(tensors: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """Concatenate the rows of all queries, then keys, then values: (3 n_embd, n_embd) per layer.

    Raises:
        FormatError: Heads differ in shape.
    """
    for parts in sources.values():
        _check_shapes(parts, tensors)
    return {name: join_rows([tensors[part] for part in parts]) for name, parts in sources.items()}


def _check_names(parts: tuple[str, ...], names: Collection[str]) -> None:
    missing = sorted(part for part in parts if part not in names)
    if missing:
        problems = [Problem(files.MODEL, name, "is missing", _FIX) for name in missing]
        raise FormatError(*limit_problems(problems))


def _check_shapes(parts: tuple[str, ...], tensors: Mapping[str, Any]) -> None:
    shape = tuple(tensors[parts[0]].shape)
    problems = [
        Problem(files.MODEL, part, f"is {tuple(tensors[part].shape)}, {parts[0]} is {shape}", _FIX)
        for part in parts
        if tuple(tensors[part].shape) != shape
    ]
    if problems:
        raise FormatError(*problems)
