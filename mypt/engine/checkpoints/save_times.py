"""When a run saves itself between two evaluations: every so many updates, or so many minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import TrainingConfig

_SECONDS = 60  # of a minute


class SaveTimes:
    """The saves of one run by `save_interval` and `save_minutes`.

    Attributes:
        seconds: Seconds from one save to the next that is due by time; 0 for none.
    """

    def __init__(
        self,
        training: TrainingConfig,
        world: World,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin as if there had been a save just now.

        Args:
            training: Hyperparameters.
            world: The processes that train together; the clock is that of the first.
            clock: Returns seconds.
        """
        self.seconds = training.save_minutes * _SECONDS
        self._interval = training.save_interval
        self._world = world
        self._clock = clock
        self._last = clock()

    def note_save(self) -> None:
        """Count the minutes from now on."""
        self._last = self._clock()

    def is_due(self, step: int) -> bool:
        """Return, in all processes alike, whether the state after `step` updates is to be saved."""
        is_time = False
        if self.seconds > 0:
            is_late = self._clock() - self._last >= self.seconds
            is_time = self._world.agree(is_late and self._world.is_main)
        return is_time or (self._interval > 0 and step % self._interval == 0)
