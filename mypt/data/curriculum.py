"""The data that a run trains on, by step."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.documents.training import DataFingerprint

if TYPE_CHECKING:
    from mypt.data.batches.loader import GPTDataLoader

DEFAULT_PHASE = "default"


@frozen
class DataPhase:
    """A phase of a run and the data it trains on.

    Attributes:
        name: Its name in logs.
        until_iter: Step at which the next phase begins; None for the last.
        loader: The source of its batches.
    """

    name: str
    until_iter: int | None
    loader: GPTDataLoader


@frozen(slots=False)
class Phases:
    """The phases of a run, in order; most runs have just one.

    Attributes:
        phases: At least one; `until_iter` increases from each to the next.
    """

    phases: tuple[DataPhase, ...]

    @classmethod
    def single(cls, loader: GPTDataLoader) -> Phases:
        """Make a curriculum of one phase that trains on one data set throughout."""
        return cls((DataPhase(DEFAULT_PHASE, None, loader),))

    def at(self, step: int) -> DataPhase:
        """Return the phase of the update that follows `step` updates."""
        for phase in self.phases[:-1]:
            if phase.until_iter is not None and step < phase.until_iter:
                return phase
        return self.phases[-1]

    def name_at(self, step: int) -> str | None:
        """Return the name of the phase at a step, or None in a run on one data set."""
        return self.at(step).name if len(self.phases) > 1 else None

    def begins_at(self, step: int) -> bool:
        """Return whether the update after `step` is the first of a new phase."""
        return step > 0 and self.at(step) is not self.at(step - 1)

    @property
    def held_out(self) -> GPTDataLoader:
        """The final phase's loader, whose validation split is measured throughout the run.

        Gold is the lowest loss, and losses on changing data could not be compared.
        """
        return self.phases[-1].loader

    @cached_property
    def fingerprint(self) -> DataFingerprint:
        """A single fingerprint of what all phases train on."""
        parts = [phase.loader.fingerprint for phase in self.phases]
        if len(parts) == 1:
            return parts[0]
        return DataFingerprint(
            source=", then ".join(part.source for part in parts),
            sha256=hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest(),
            train_tokens=sum(part.train_tokens for part in parts),
            val_tokens=parts[-1].val_tokens,
        )
