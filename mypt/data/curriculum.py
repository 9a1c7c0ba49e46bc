"""Which data a run trains on, by its step."""

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
    """A stretch of a run and the data it trains on.

    Attributes:
        name: What logs call it.
        until_iter: Step at which the next one begins; None for the last.
        loader: Where its batches come from.
    """

    name: str
    until_iter: int | None
    loader: GPTDataLoader


@frozen(slots=False)
class Phases:
    """The phases of a run, in their order; most runs have a single one.

    Attributes:
        phases: At least one; their steps rise.
    """

    phases: tuple[DataPhase, ...]

    @classmethod
    def single(cls, loader: GPTDataLoader) -> Phases:
        """Train on one data set from the first step to the last."""
        return cls((DataPhase(DEFAULT_PHASE, None, loader),))

    def at(self, step: int) -> DataPhase:
        """Give the phase that the update following `step` updates belongs to."""
        for phase in self.phases[:-1]:
            if phase.until_iter is not None and step < phase.until_iter:
                return phase
        return self.phases[-1]

    def name_at(self, step: int) -> str | None:
        """Name the phase at a step; None in a run on one data set."""
        return self.at(step).name if len(self.phases) > 1 else None

    def begins_at(self, step: int) -> bool:
        """Tell whether the update after `step` is the first of another phase."""
        return step > 0 and self.at(step) is not self.at(step - 1)

    @property
    def held_out(self) -> GPTDataLoader:
        """Whose validation split is measured from the first step to the last: the final phase's.

        A loss that changed its meaning in between could not be compared, and gold is the lowest.
        """
        return self.phases[-1].loader

    @cached_property
    def fingerprint(self) -> DataFingerprint:
        """What all phases train on, as one."""
        parts = [phase.loader.fingerprint for phase in self.phases]
        if len(parts) == 1:
            return parts[0]
        return DataFingerprint(
            source=", then ".join(part.source for part in parts),
            sha256=hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest(),
            train_tokens=sum(part.train_tokens for part in parts),
            val_tokens=parts[-1].val_tokens,
        )
