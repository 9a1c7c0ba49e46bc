"""The data that a run trains on, by step."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from mypt.format.documents.training import DataFingerprint, EpochPlace

if TYPE_CHECKING:
    from mypt.data.batches.batch import Batch
    from mypt.data.batches.loader import GPTDataLoader
    from mypt.format.documents.training import TrainingConfig, TrainingState

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

    def draw(
        self, step: int, seed: int, micro_steps: int, place: EpochPlace | None, rows: slice
    ) -> list[Batch]:
        """Draw this process's batches of the update that follows `step` updates.

        Args:
            step: Number of updates before it.
            seed: Seed of the run.
            micro_steps: Number of batches.
            place: The place in the epochs before it; None if the phase does not train by epochs.
            rows: This process's rows of each batch.
        """
        loader, first = self.at(step).loader, 0 if place is None else place.windows
        size = loader.config.batch_size
        return [
            loader.train_batch(seed, step, m, first_window=first + m * size, rows=rows)
            for m in range(micro_steps)
        ]

    def name_at(self, step: int) -> str | None:
        """Return the name of the phase at a step, or None in a run on one data set."""
        return self.at(step).name if len(self.phases) > 1 else None

    def begins_at(self, step: int) -> bool:
        """Return whether the update after `step` is the first of a new phase."""
        return step > 0 and self.at(step) is not self.at(step - 1)

    def epoch_from(self, previous: TrainingState, training: TrainingConfig) -> EpochPlace | None:
        """Return the place in the epochs from which a run goes on.

        An epoch begins anew where its order would not be that of before: with other data, another
        seed, another sampling or other rows.

        Args:
            previous: The state that the run goes on from; its step may be 0.
            training: The hyperparameters of the run.

        Returns:
            The place; None if the phase does not train by epochs.
        """
        start, before = self._epoch_start(previous.step), previous.training_config
        if start is None or _name_order(before) != _name_order(training):
            return start
        if previous.epoch is not None:
            is_same = evolve(previous.epoch, windows=0, extra={}) == start
            return previous.epoch if is_same else start
        if self._is_place_implied(previous):
            block_size = self.at(previous.step).loader.config.block_size
            return evolve(start, windows=previous.tokens_processed // block_size)
        return start

    def epoch_after(
        self, step: int, place: EpochPlace | None, micro_steps: int
    ) -> EpochPlace | None:
        """Return the place in the epochs after the update that follows `step` updates.

        Args:
            step: Number of updates before it.
            place: The place before it.
            micro_steps: Number of batches that it took.
        """
        if place is None or self.begins_at(step + 1):
            return self._epoch_start(step + 1)
        taken = micro_steps * self.at(step).loader.config.batch_size
        return evolve(place, windows=place.windows + taken)

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

    def _epoch_start(self, step: int) -> EpochPlace | None:
        """Return the start of the epochs of the phase at a step; None if it has none."""
        loader = self.at(step).loader
        if loader.sampling != "epoch":
            return None
        per_epoch = loader.windows_per_epoch
        return EpochPlace(windows=0, per_epoch=per_epoch, sha256=loader.fingerprint.sha256)

    def _is_place_implied(self, previous: TrainingState) -> bool:
        """Return whether a state without `epoch`, of an earlier mypt, implies its place.

        In the first phase it does: all tokens of the run came from there.
        """
        is_first = self.at(previous.step) is self.phases[0]
        is_same = previous.data is not None and previous.data.sha256 == self.fingerprint.sha256
        return is_first and is_same


def _name_order(training: TrainingConfig) -> tuple[str, int, bool]:
    """Return what the order of an epoch depends on beside the data."""
    return training.sampling, training.seed, training.packing
