"""The figures of the updates that are logged, one in `log_interval`."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from attrs import frozen

from mypt.engine.logging.events import Step
from mypt.engine.logging.reports import rounded
from mypt.engine.runtime.free_memory import resident_bytes
from mypt.engine.runtime.mfu import flops_per_token, peak_flops
from mypt.engine.runtime.readback import Readback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.model.transformer import Transformer


@frozen(kw_only=True)
class _Measured:
    """An update whose values are on their way to the CPU.

    Attributes:
        state: After it.
        lr: Its learning rate.
        values: Its loss, as this process's part of the mean, and the norm of its gradient.
    """

    state: TrainingState
    lr: float
    values: Readback


class StepMeter:
    """Measures the updates that are logged.

    Of a GPU the values come one update late, so that it computes while they are read. What is read
    of all processes is read by all of them at the same place.
    """

    def __init__(
        self,
        model: Transformer,
        state: TrainingState,
        world: World,
        elapsed_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to measure.

        Args:
            model: The model, on its device, set up as it is trained.
            state: Where the run begins.
            world: The processes that train together.
            elapsed_s: Returns the seconds of training so far.
            clock: Returns seconds.
        """
        training = state.training_config
        self._device = next(model.parameters()).device
        self._world = world
        self._elapsed_s = elapsed_s
        self._clock = clock
        self._flops = flops_per_token(model)
        self._peak = peak_flops(self._device, training)
        self._began: tuple[int, float] | None = None  # tokens and second that the pace counts from
        self._tokens = state.tokens_processed
        self._pending: _Measured | None = None

    def is_due(self, step: int, training: TrainingConfig) -> bool:
        """Return whether the update that ends at a step is logged."""
        return training.log_interval > 0 and step % training.log_interval == 0

    def begin(self) -> None:
        """Note that an update begins, from which the pace counts at first."""
        if self._began is None:
            self._began = self._tokens, self._clock()

    def measure(
        self, state: TrainingState, lr: float, loss: torch.Tensor, norm: torch.Tensor | None
    ) -> Step | None:
        """Take the values of an update, where it is one to log.

        Args:
            state: After the update.
            lr: Its learning rate.
            loss: This process's part of its mean loss, scalar.
            norm: Norm of the whole gradient, scalar; None where it is not known.

        Returns:
            The event of this update, or of a GPU that of an earlier one.
        """
        late = self.collect()
        if not self.is_due(state.step, state.training_config):
            return late
        norm = torch.full_like(loss, torch.nan) if norm is None else norm.to(loss)
        values = Readback(torch.stack([loss.detach(), norm]))
        self._pending = _Measured(state=state, lr=lr, values=values)
        return late if self._device.type == "cuda" else self.collect()

    def collect(self) -> Step | None:
        """Return the event of the update that was measured last, if it is not known yet."""
        measured, self._pending = self._pending, None
        if measured is None:
            return None
        loss, norm = measured.values.values().tolist()
        memory = self._count_memory()
        known = torch.tensor([loss, float(memory or 0)], dtype=torch.float64)
        loss, total_memory = self._world.total(known).tolist()
        state = measured.state
        rate = self._measure_rate(state.tokens_processed)
        return Step(
            iter=state.step,
            max_iters=state.training_config.max_iters,
            train_loss=rounded(loss / self._world.size),
            lr=measured.lr,
            grad_norm=rounded(norm),
            tokens_per_sec=round(rate),
            tokens_processed=state.tokens_processed,
            elapsed_s=round(self._elapsed_s(), 1),
            mfu=self._utilisation(rate),
            memory_bytes=None if memory is None else int(total_memory),
        )

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the time of what is no update out of the pace."""
        before = self._clock()
        yield
        if self._began is not None:
            tokens, second = self._began
            self._began = tokens, second + self._clock() - before

    def _measure_rate(self, tokens: int) -> float:
        """Return the tokens per second since the step before, and count from here on."""
        now = self._clock()
        before, second = self._began or (self._tokens, now)
        self._began = tokens, now
        return (tokens - before) / max(now - second, 1e-9)

    def _utilisation(self, rate: float) -> float | None:
        if self._peak is None or self._flops is None:
            return None
        return round(rate * self._flops / (self._peak * self._world.size), 4)

    def _count_memory(self) -> int | None:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return resident_bytes()
