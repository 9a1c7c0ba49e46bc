"""Take off what wrappers of a model add to the names of its tensors.

DistributedDataParallel adds `module.`, `torch.compile` `_orig_mod.`, a module of Lightning the name
of its attribute, and they nest. A reader names what the names of its own tensors begin with;
whatever they have before that is a prefix.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from mypt.format.errors import FormatError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

T = TypeVar("T")

# Modules that only wrap another one, also where a single block is wrapped.
_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_DEEPEST = 8


def unwrap_names(
    tensors: Mapping[str, T], roots: Sequence[str], file: str
) -> tuple[dict[str, T], tuple[str, ...]]:
    """Return the tensors under the names that they have in the model without its wrappers.

    The prefix is the one behind which the most names begin with a root, the shortest of several. A
    name without it is left as it is, for the reader to reject.

    Args:
        tensors: Values by name of tensor, in any form.
        roots: What names begin with in the model itself, each whole parts of a name with a dot
            behind them, such as `transformer.h.`.
        file: Name of the file, for messages.

    Returns:
        The same values in the same order, and what was taken off, one line or none.

    Raises:
        FormatError: Two tensors have the same name without it.
    """
    bare = {name: _drop_wrappers(name) for name in tensors}
    prefix = _find_prefix(bare.values(), roots)
    inner = {name: short.removeprefix(prefix) for name, short in bare.items()}
    _check_distinct(inner, file)
    inside = sorted({part for name in tensors for part in name.split(".") if part in _WRAPPERS})
    taken = [f"`{part}.`" for part in (*inside, *filter(None, prefix.split(".")))]
    notes = [f"the names of the tensors are read without {', '.join(taken)}"] if taken else []
    return {inner[name]: value for name, value in tensors.items()}, tuple(notes)


def _drop_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _find_prefix(names: Collection[str], roots: Sequence[str]) -> str:
    beginnings = tuple(roots)
    if all(name.startswith(beginnings) for name in names):
        return ""
    counts: Counter[str] = Counter({"": 0})
    for name in names:
        parts = name.split(".")
        for depth in range(min(len(parts), _DEEPEST)):
            rest = ".".join(parts[depth:])
            if rest.startswith(beginnings):
                counts["".join(f"{part}." for part in parts[:depth])] += 1
    return min(counts, key=lambda prefix: (-counts[prefix], len(prefix)))


def _check_distinct(inner: Mapping[str, str], file: str) -> None:
    first: dict[str, str] = {}
    for name, short in inner.items():
        if first.setdefault(short, name) != name:
            what = f"is there twice, as `{first[short]}` and as `{name}`"
            fix = "save the state dict of the model without its wrapper"
            raise FormatError(Problem(file, short, what, fix, kind="tensor.twice"))
