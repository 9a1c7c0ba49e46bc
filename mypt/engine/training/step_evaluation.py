"""What a run measures where an evaluation is due, and how it is told of meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.evaluation.losses import count_batches, evaluate
from mypt.engine.logging import events
from mypt.format.optimizers.weight_mean import KEY as MEAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.engine.averaging.weight_mean import WeightMean
    from mypt.engine.checkpoints.saver import Saver
    from mypt.engine.logging.dispatch import EventDispatcher
    from mypt.engine.training.job import Job
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.guard import Evaluation


class StepEvaluation:
    """Measure the losses of a run at its steps, while a save goes on."""

    def __init__(
        self,
        job: Job,
        *,
        mean: WeightMean | None,
        dispatcher: EventDispatcher,
        saver: Saver,
        is_stopped: Callable[[], bool],
    ) -> None:
        """Prepare the evaluations of a run.

        Args:
            job: What the run works on.
            mean: The mean of the weights, whose loss is measured too; None for none.
            dispatcher: Is told of each batch.
            saver: Goes on with a save at each batch.
            is_stopped: Returns whether any process of the run was asked to stop.
        """
        self._job = job
        self._other_weights = {} if mean is None else {MEAN: mean.swapped}
        self._dispatcher = dispatcher
        self._saver = saver
        self._is_stopped = is_stopped

    def measure(self, step: int, training: TrainingConfig) -> Evaluation:
        """Measure the phase that ends at a step, at its last step too.

        Raises:
            EvaluationStoppedError: The run was asked to stop meanwhile.
            SaveError: The save that goes on could not be written.
        """
        job = self._job
        total = count_batches(
            job.eval_loaders, training, job.world, other_weights=len(self._other_weights)
        )
        batches = iter(range(total))

        def is_stopped() -> bool:
            """Go on with a save, and return whether any process was asked to stop."""
            done = next(batches)
            self._dispatcher.emit(events.Evaluating(iter=step, done=done, total=total))
            self._saver.check()
            return self._is_stopped()

        return evaluate(
            job.model,
            job.phases.at(max(0, step - 1)).loader,
            job.phases.held_out,
            job.eval_loaders,
            training,
            step,
            is_stopped,
            job.world,
            self._other_weights,
        )
