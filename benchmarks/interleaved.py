"""Measure two things in turn, and compare them pair by pair."""

from __future__ import annotations

import platform
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Pairs:
    """What each round measured: of mypt, and of what stands beside it."""

    rounds: list[tuple[float, float]]

    @property
    def medians(self) -> tuple[float, float]:
        """Median of either side."""
        ours, theirs = zip(*self.rounds, strict=True)
        return statistics.median(ours), statistics.median(theirs)

    def scaled(self, factor: float) -> Pairs:
        """Give the pairs in another unit."""
        return Pairs([(ours * factor, theirs * factor) for ours, theirs in self.rounds])

    @property
    def ratio(self) -> str:
        """The median of each pair's ratio, with the spread of all."""
        ratios = sorted(a / b for a, b in self.rounds)
        return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


class Spent(NamedTuple):
    """What a call took, in seconds; of the processor, by all threads of this process."""

    wall: float
    cpu: float


def spent(function: Callable[[], object]) -> Spent:
    """Measure one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measure(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> Pairs:
    """Time both in turn after a warm-up of each."""
    ours()
    theirs()
    return Pairs([(seconds(ours), seconds(theirs)) for _ in range(rounds)])


def compare(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    against: str,
    rounds: int = 15,
) -> None:
    """Time both in turn after a warm-up of each, and print medians and the ratio's spread."""
    pairs = measure(ours, theirs, rounds=rounds)
    mine, other = pairs.medians
    print(
        f"{name}: {mine * 1e3:.1f} ms; {against}: {other * 1e3:.1f} ms; ratio "
        f"{pairs.ratio}, {rounds} pairs"
    )


def machine() -> None:
    """Print what the figures were measured on."""
    import os

    import torch

    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads of {os.cpu_count()} cores",
        flush=True,
    )
