"""The content of `optimizer.pt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def optimizer_document(
    optimizer: str,
    state: Mapping[str, Mapping[str, Any]],
    groups: Iterable[tuple[Sequence[str], Mapping[str, Any]]],
) -> dict[str, Any]:
    """Return the content of `optimizer.pt`.

    Args:
        optimizer: Name of the optimizer, as `training_config` has it.
        state: What it keeps, by the names of parameters; parameters may be missing.
        groups: The parameters of each group and its settings, `lr` among them. A group without
            parameters is left out.
    """
    listed = [{**settings, "params": [*names]} for names, settings in groups if names]
    return {
        "optimizer": optimizer,
        "state": {
            name: dict(state[name]) for group in listed for name in group["params"] if name in state
        },
        "param_groups": listed,
    }
