"""AdamW's moments under new names and in a new order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.migrations.fused import join

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.migrations.fused import Sources

Moments = dict[str, Any]


def migrate_optimizer(
    optimizer: Mapping[str, Any],
    tensors: Mapping[str, Any],
    sources: Sources,
    *,
    tied: bool,
) -> dict[str, Any]:
    """Give the optimizer state in the order of version 2, with its hyperparameters kept.

    Args:
        optimizer: AdamW state dict of version 1, with one group or with two.
        tensors: Weights of version 1 without buffers, in parameter order.
        sources: Which of them make up each tensor of version 2.
        tied: Whether `lm_head.weight` is the embedding and has no moments.

    Raises:
        FormatError: The state is not that of these weights.
    """
    names = [name for name in tensors if not (tied and name == "lm_head.weight")]
    order = _order(names, optimizer["param_groups"], tensors)
    moments = {order[index]: state for index, state in optimizer["state"].items()}
    new_names = [name for name in sources if not (tied and name == "lm_head.weight")]
    fused = {name: _joined([moments.get(p) for p in sources[name]]) for name in new_names}
    dims = {name: len(tensors[sources[name][0]].shape) for name in new_names}
    new_order = _by_decay(new_names, dims)
    groups = optimizer["param_groups"]
    sizes = [sum(decays(n, dims[n]) for n in new_names), 0]
    sizes[1] = len(new_names) - sizes[0]
    # A single group decayed everything alike; its settings hold for both of ours.
    first, second = groups[0], groups[-1]
    return {
        "state": {i: fused[n] for i, n in enumerate(new_order) if fused[n] is not None},
        "param_groups": [
            {**first, "params": list(range(sizes[0]))},
            {**second, "params": list(range(sizes[0], len(new_names)))},
        ],
    }


def decays(name: str, dim: int) -> bool:
    """Tell whether MyPT decayed a parameter: a matrix that is neither embedding nor norm."""
    lowered = name.lower()
    return dim > 1 and "embedding" not in lowered and "ln" not in lowered


def _by_decay(names: list[str], dims: Mapping[str, int]) -> list[str]:
    return sorted(names, key=lambda name: not decays(name, dims[name]))


def _order(
    names: list[str], groups: list[Mapping[str, Any]], tensors: Mapping[str, Any]
) -> list[str]:
    """Name the parameter of each index."""
    total = sum(len(group["params"]) for group in groups)
    if total != len(names):
        what = f"holds {total} parameters, the model has {len(names)}"
        raise FormatError(Problem("optimizer.pt", "", what, "remove it, or restore its model"))
    if len(groups) == 1:
        return names
    return _by_decay(names, {name: len(tensors[name].shape) for name in names})


def _joined(parts: list[Mapping[str, Any] | None]) -> Moments | None:
    """Join the moments of the parts as their weights are joined; None where there are none."""
    states = [part for part in parts if part is not None]
    if len(states) < len(parts):
        return None
    if len(states) == 1:
        return dict(states[0])
    joined = {key: join([s[key] for s in states]) for key in ("exp_avg", "exp_avg_sq")}
    return {"step": states[0]["step"], **joined}
