"""The peak learning rates of an optimizer's groups, from which their schedules follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


def peak_of(settings: Mapping[str, Any]) -> float:
    """Return the peak learning rate of a group, which torch's schedulers keep as `initial_lr`."""
    return float(settings.get("initial_lr", settings["lr"]))


def largest_peak(optimizer: torch.optim.Optimizer) -> float:
    """Return the largest peak learning rate of any group that has parameters."""
    return max(peak_of(group) for group in optimizer.param_groups if group["params"])


def scale_peaks(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set each group's `initial_lr`, the peak of its schedule; their ratios stay.

    Args:
        optimizer: The `initial_lr` of a group, or else its `lr`, is relative to the others'.
        learning_rate: The largest peak of any group.
    """
    groups = optimizer.param_groups
    rates, top = [peak_of(group) for group in groups], largest_peak(optimizer)
    for group, rate in zip(groups, rates, strict=True):
        same = rate == top or not group["params"]
        group["initial_lr"] = learning_rate if same else rate * (learning_rate / top)


def note_peaks(optimizer: torch.optim.Optimizer) -> None:
    """Set the `initial_lr` of each group that has none: its `lr`."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
