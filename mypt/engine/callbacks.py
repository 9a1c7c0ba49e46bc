"""Functions of the caller that a run calls after each update and each evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.engine.runtime.readback import Readback
    from mypt.plugins.contracts.guard import Evaluation

M = TypeVar("M")


@frozen(kw_only=True)
class StepEvent(Generic[M]):
    """One optimizer update.

    Attributes:
        step: Number of updates done, this one among them.
        lr: Learning rate of this update; of groups with different rates, the largest.
        model: The model, with the weights after this update.
    """

    step: int
    lr: float
    model: M = field(repr=False)
    _loss: Readback = field(repr=False)
    _stop: Callable[[], None] = field(repr=False)

    @property
    def loss(self) -> float:
        """Training loss of this update's batches, before it, in nats per token.

        Reading it waits until a GPU has computed it; a loss that is not read costs nothing.
        """
        return float(self._loss.values())

    def stop(self) -> None:
        """Ask the run to stop after this update, as Ctrl-C does: it is saved, and can go on."""
        self._stop()


@frozen(kw_only=True)
class EvaluationEvent(Generic[M]):
    """One evaluation.

    Attributes:
        step: Number of updates done.
        lr: Learning rate of the next update, or of the last one at the end of the run.
        model: The model.
        train_loss: Mean loss on the training split, in nats per token.
        val_loss: Mean loss on the validation split, in nats per token.
        eval_losses: Mean loss on each additional evaluation set, by name.
    """

    step: int
    lr: float
    model: M = field(repr=False)
    train_loss: float
    val_loss: float
    eval_losses: Mapping[str, float]
    _stop: Callable[[], None] = field(repr=False)

    def stop(self) -> None:
        """Ask the run to stop here, as Ctrl-C does: it is saved, and can go on."""
        self._stop()


@frozen(kw_only=True)
class Callbacks(Generic[M]):
    """What a run calls.

    Attributes:
        after_step: Called after each update; None for no call.
        after_evaluation: Called after each evaluation, once its save has begun; None for no call.
    """

    after_step: Callable[[StepEvent[M]], object] | None = None
    after_evaluation: Callable[[EvaluationEvent[M]], object] | None = None

    def step_done(
        self, step: int, lr: float, model: M, loss: Readback, stop: Callable[[], None]
    ) -> None:
        """Call what there is to call after an update."""
        if self.after_step is not None:
            self.after_step(StepEvent(step=step, lr=lr, model=model, loss=loss, stop=stop))

    def evaluated(self, found: Evaluation, lr: float, model: M, stop: Callable[[], None]) -> None:
        """Call what there is to call after an evaluation."""
        if self.after_evaluation is not None:
            event = EvaluationEvent(
                step=found.step,
                lr=lr,
                model=model,
                train_loss=found.train_loss,
                val_loss=found.val_loss,
                eval_losses=found.eval_losses,
                stop=stop,
            )
            self.after_evaluation(event)
