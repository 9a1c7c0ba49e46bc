"""Training runs, as recorded in their logs."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.format.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypt.engine.schedules.learning_rate import LearningRate
    from mypt.format.documents.training import TrainingConfig

MAX_NAME = 60


@frozen(kw_only=True)
class LoggedEvaluation:
    """One evaluation of a run.

    Attributes:
        step: Optimizer updates done.
        tokens: Tokens trained on so far; None in MyPT's early logs.
        lr: Learning rate; None in MyPT's early logs.
        losses: Nats per token by name: `val`, `train` where it was measured, and the further
            evaluation sets. NaN where the loss was not finite.
    """

    step: int
    tokens: int | None
    lr: float | None
    losses: Mapping[str, float]


@frozen(kw_only=True)
class LoggedStep:
    """The figures of one update.

    Attributes:
        step: Optimizer updates done.
        loss: Of its own batches, nats per token; NaN where it was not finite.
        grad_norm: Norm of the gradient; NaN where it was not finite or is not known.
        tokens_per_sec: Tokens per second; NaN where they are not known.
    """

    step: int
    loss: float
    grad_norm: float
    tokens_per_sec: float


@frozen(kw_only=True)
class GoldMark:
    """A model that became gold, or was kept from it.

    Attributes:
        step: Optimizer updates done.
        val_loss: Its validation loss, nats per token; NaN where it was not finite.
        reason: What kept it from gold; None where it became gold.
    """

    step: int
    val_loss: float
    reason: str | None

    @property
    def promoted(self) -> bool:
        """Whether it became gold."""
        return self.reason is None


@frozen(kw_only=True)
class LoggedPhase:
    """A phase of a curriculum.

    Attributes:
        step: Optimizer updates done when it began.
        name: Its name.
    """

    step: int
    name: str


@frozen(kw_only=True)
class LoggedStart:
    """A beginning of the run, or of its continuation.

    Attributes:
        step: Optimizer updates done.
        training: Hyperparameters of the learning rate; None where the log does not say them all.
        rate: The learning rate that they make; None where that is not known.
    """

    step: int
    training: TrainingConfig | None
    rate: LearningRate | None = None


@frozen(kw_only=True)
class Run:
    """The run that led to the last line of a log.

    A run that was resumed is one run: the steps it repeated replace the earlier ones. Where
    a file contains several runs that began at step 0, this is the last one.

    Attributes:
        name: What to call it.
        file: The log.
        evaluations: By rising step; at least one.
        gold: By rising step.
        phases: By rising step; empty where there is no curriculum.
        starts: By rising step; empty in logs that do not say when training began.
        updates: By rising step; empty in logs that have no figures of updates.
    """

    name: str
    file: str
    evaluations: tuple[LoggedEvaluation, ...]
    gold: tuple[GoldMark, ...]
    phases: tuple[LoggedPhase, ...]
    starts: tuple[LoggedStart, ...] = ()
    updates: tuple[LoggedStep, ...] = ()

    @property
    def loss_names(self) -> list[str]:
        """`val`, and of the others those that were finite at least once: `train`, then by name."""
        names = {
            name
            for evaluation in self.evaluations
            for name, loss in evaluation.losses.items()
            if math.isfinite(loss) or name == "val"
        }
        return sort_loss_names(names)

    @property
    def steps(self) -> list[int]:
        """The steps of all evaluations, updates, marks and phases, unordered."""
        return [
            *(evaluation.step for evaluation in self.evaluations),
            *(update.step for update in self.updates),
            *(mark.step for mark in self.gold),
            *(phase.step for phase in self.phases),
        ]

    @property
    def counts_tokens(self) -> bool:
        """Whether every evaluation records how many tokens were trained on."""
        return all(evaluation.tokens is not None for evaluation in self.evaluations)

    def tokens_at(self, step: int) -> float:
        """Return the tokens trained on at a step, interpolated between evaluations."""
        known = self._token_counts
        after = min(max(bisect_right(known, (step, math.inf)), 1), len(known) - 1)
        if len(known) < 2:
            return known[0][1]
        (left, low), (right, high) = known[after - 1], known[after]
        return low + (high - low) * (step - left) / (right - left)

    @cached_property
    def _token_counts(self) -> list[tuple[int, int]]:
        """Steps and tokens of the evaluations that count them."""
        return [(e.step, e.tokens) for e in self.evaluations if e.tokens is not None]


def disambiguate_names(runs: Sequence[Run]) -> list[Run]:
    """Return the runs, with the folder as a prefix where several have the same name."""
    names = [run.name for run in runs]
    return [
        evolve(run, name=printable(f"{Path(run.file).resolve().parent.name}/{run.name}"))
        if names.count(run.name) > 1
        else run
        for run in runs
    ]


def sort_loss_names(names: Iterable[str]) -> list[str]:
    """Return the names of losses in the order shown: `val`, `train`, then others by name."""
    return sorted(set(names), key=lambda name: (name != "val", name != "train", name))


def printable(text: str, length: int = MAX_NAME) -> str:
    """Return a text of a log as one short line without control characters."""
    line = one_line(text)
    return line if len(line) <= length else line[: length - 1] + "\u2026"
