"""The training loop.

One step goes through these modules, in this order:

1. draw: `data/curriculum.py` finds the phase of the step, and its loader in
   `data/batches/loader.py` draws a batch for each micro step, as a function of the seed;
   `schedules/batch_size.py` says how many there are;
2. update: `update.py` sets the learning rate of `schedules/`, runs forward and backward for
   each micro step, clips the gradients and steps the optimizer of `optimizers/build.py`, with the
   weight decay of the step; the mean of `averaging/weight_mean.py` follows the weights;
3. end: `stopping/ends.py` lists the limits that are reached; the last step is evaluated and saved;
4. emit: the loss of the update before comes back through `runtime/readback.py`, and an `Update` of
   `logging/events.py` goes to the sinks through `logging/dispatch.py`, and where one is due, the
   `Step` that `logging/step_meter.py` measures;
5. evaluate, where it is due: `step_evaluation.py` has `evaluation/losses.py` measure the losses,
   also those of the mean, and `evaluation/gold.py` decides on gold, before they are emitted;
6. save, after an evaluation, at a numbered copy and where `checkpoints/save_times.py` says so:
   in the order of `save_sequence.py`, `checkpoints/async_saver.py` copies the tensors, and in its
   thread `checkpoints/checkpointer.py` writes them to the copies of the run's bundle and to the
   bundle; in between, a new gold is emitted, and a `Saved` at the end. Without room for a copy,
   `checkpoints/saver.py` does all of it at once.

After an update and an evaluation, `engine/callbacks.py` calls the functions that `fit` was given.

`run.py` builds what a `Trainer` takes. `runtime/signals.py` asks it to stop between two steps.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from attrs import evolve

from mypt.data.curriculum import DEFAULT_PHASE
from mypt.engine.checkpoints.copies import find_snapshots, is_snapshot_due
from mypt.engine.checkpoints.save_times import SaveTimes
from mypt.engine.evaluation.divergence import (
    WEIGHTS,
    DivergedError,
    are_finite,
    diverged_error,
    explain_losses,
)
from mypt.engine.evaluation.gold import decide
from mypt.engine.evaluation.losses import EvaluationStoppedError
from mypt.engine.logging import events, reports
from mypt.engine.logging.step_meter import StepMeter
from mypt.engine.runtime.readback import Readback
from mypt.engine.runtime.signals import StopRequest
from mypt.engine.schedules.batch_size import count_updates, micro_steps_at, tokens_per_step
from mypt.engine.schedules.change import describe_copy
from mypt.engine.stopping.ends import list_ends, note_evaluation
from mypt.engine.training.save_sequence import SaveSequence
from mypt.engine.training.step_evaluation import StepEvaluation
from mypt.engine.training.update import Updater
from mypt.format.bundle.copy_name import CopyKind
from mypt.format.documents.training import GoldMemory, TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from mypt.engine.averaging.weight_mean import WeightMean
    from mypt.engine.checkpoints.checkpointer import Checkpointer
    from mypt.engine.checkpoints.saver import Saver
    from mypt.engine.checkpoints.sharded.sharded_saver import ShardedSaver
    from mypt.engine.logging.dispatch import EventDispatcher
    from mypt.engine.optimizers.tracked import TrackedOptimizer
    from mypt.engine.training.job import Job
    from mypt.plugins.contracts.guard import Evaluation, GoldGuard
    from mypt.plugins.contracts.training import TokenLoss


class Trainer:
    """One run of training, from one state to another.

    Everything random is a function of the seed, the step and the micro step, so a run that was
    stopped anywhere and goes on from its last saved state ends in the same weights.
    """

    def __init__(
        self,
        job: Job,
        state: TrainingState,
        *,
        dispatcher: EventDispatcher,
        guards: Mapping[str, GoldGuard],
        tracked: TrackedOptimizer,
        mean: WeightMean | None,
        checkpointer: Checkpointer | None,
        saver: Saver,
        sharded: ShardedSaver | None = None,
        token_loss: TokenLoss | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            job: What the run works on; its optimizer has the moments of `state`.
            state: Where to start; its `training_config` holds for the run.
            dispatcher: Takes the events.
            guards: Gold guards, by name.
            tracked: The optimizer of `job`.
            mean: The mean of the weights; None for none.
            checkpointer: Writes the run's bundles; None to save nothing.
            saver: Has it write them, beside the training or while it waits.
            sharded: Saves in all processes in the place of `saver`; None where the first one alone
                saves.
            token_loss: What the updates make small; None for the cross entropy.
        """
        self.model = job.model
        self.optimizer = job.optimizer
        self._tracked = tracked
        self._is_tracked = False
        self.phases = job.phases
        self.state = state
        self._dispatcher = dispatcher
        self._guards = guards
        self._callbacks = job.callbacks
        self._mean = mean
        self._world = job.world
        self._rows = job.world.rows(job.model.config.batch_size)
        self._updater = Updater(
            job.model, job.optimizer, state.training_config, state.scaler, job.world, token_loss
        )
        self._decay_step = self._updater.learning_rate.decay_step
        self._in_python = job.command is None
        if state.step > 0:  # so that a save before the next update gives the same bytes
            self._updater.set_learning_rate(state.step - 1)
        self._saver = saver
        self._saves = SaveSequence(
            job,
            dispatcher=dispatcher,
            tracked=tracked,
            checkpointer=checkpointer,
            saver=saver,
            sharded=sharded,
        )
        self._evaluation = StepEvaluation(
            job, mean=mean, dispatcher=dispatcher, saver=saver, is_stopped=self._is_stopped
        )
        self._save_times = SaveTimes(state.training_config, job.world)
        self._stop = StopRequest()
        self._began = time.monotonic() - state.elapsed_s
        self._meter = StepMeter(job.model, state, job.world, lambda: self._elapsed_s)
        self._loss: Readback | None = None
        self._is_loss_finite = True
        self._folder = job.folder
        is_saved = job.found is not None or job.found_shards is not None
        self._saved_step = state.step if is_saved else None
        self._is_saved = False
        self._last: Evaluation | None = None
        self._is_over = False

    def run(self) -> TrainingState:
        """Train until a limit is reached, or until asked to stop; return the last state saved.

        Raises:
            SaveError: A save failed; it is raised within one step, and the one before is whole.
            DivergedError: A loss or a weight is not finite; what was saved before is intact.
        """
        started_at = events.now()
        self.model.train()
        with self._stop:  # up to the last line of the log, which a stop must not cut off
            try:
                with _own_randomness(next(self.model.parameters()).device):
                    self._train()
                    self._saver.wait()
            finally:
                self._saver.close()
            self._report_end(started_at)
        return self.state

    def _report_end(self, started_at: str) -> None:
        if self._folder is None:
            self._dispatcher.emit(reports.unsaved(self.state))
        last = self._last
        if self._is_over and last is not None and last.step == self.state.step:
            self._complete(last, started_at)
        else:
            folder = None if self._saves.folder is None else str(self._saves.folder)
            self._dispatcher.emit(events.Interrupted(iter=self.state.step, folder=folder))

    def update(self) -> None:
        """Make one optimizer update, of as many micro steps as its step has."""
        self._meter.begin()
        training, step = self.state.training_config, self.state.step
        if self.phases.begins_at(step):
            self._announce_phase(step)
        place, micro_steps = self.state.epoch, micro_steps_at(step, training)
        batches = self.phases.draw(step, training.seed, micro_steps, place, self._rows)
        is_logged = self._meter.is_due(step + 1, training)
        made = self._updater.update(batches, step, measure_norm=is_logged)
        if self._mean is not None:
            self._mean.update(step + 1)
        if not self._is_tracked:  # an optimizer that cannot be saved is refused now
            self._tracked.collect()
            self._is_tracked = True
        before, self._loss = self._loss, Readback(made.loss)
        tokens = tokens_per_step(self.model.config, training, step)
        self.state = evolve(
            self.state,
            step=step + 1,
            tokens_processed=self.state.tokens_processed + tokens,
            phase=self.phases.name_at(step + 1),
            epoch=self.phases.epoch_after(step, place, micro_steps),
            elapsed_s=self._read_clock(),
        )
        self._is_saved = False
        self._is_over = bool(list_ends(self.state))
        self._saver.check()
        # The loss shown is that of the step before, so that a GPU computes while it is shown.
        loss = float((before or self._loss).values())
        self._is_loss_finite = math.isfinite(loss)
        self._dispatcher.emit(
            events.Update(iter=step + 1, max_iters=training.max_iters, train_loss=loss, lr=made.lr)
        )
        self._log_step(self._meter.measure(self.state, made.lr, made.loss, made.grad_norm))
        self._call(self._callbacks.step_done, step + 1, made.lr, self.model, self._loss)

    def _announce_phase(self, step: int) -> None:
        self._log_step(self._meter.collect())
        self._dispatcher.emit(
            events.PhaseSwitch(
                iter=step,
                elapsed_s=round(self._elapsed_s, 1),
                tokens_processed=self.state.tokens_processed,
                new_phase=self.phases.at(step).name,
            )
        )

    def _read_clock(self) -> float:
        """Return the seconds of training so far; those of the first process where they decide."""
        elapsed_s = round(self._elapsed_s, 3)
        if self.state.training_config.max_minutes is None or self._world.size == 1:
            return elapsed_s
        mine = torch.tensor(elapsed_s if self._world.is_main else 0.0, dtype=torch.float64)
        return float(self._world.total(mine))

    def _log_step(self, step: events.Step | None) -> None:
        if step is not None:
            self._dispatcher.emit(step)

    def _train(self) -> None:
        self._check_weights()
        self._is_over = bool(list_ends(self.state))
        try:
            if self._is_due():
                self._evaluate_and_save()
                self._saver.wait()  # from here on there is something to resume from
            elif self._lacks_decay_copy():
                self._save_snapshot()
            while not self._is_over and not self._must_stop():
                self.update()
                if self._is_due():
                    self._evaluate_and_save()
                elif self._is_snapshot_due():
                    self._save_snapshot()
                elif self._save_times.is_due(self.state.step):
                    self._save()
        except EvaluationStoppedError:
            pass  # the resumed run evaluates this step
        if not self._is_saved:
            self._save()
        if not self._is_saved and self._folder is not None:
            raise self._diverged(WEIGHTS)

    def _must_stop(self) -> bool:
        """Return whether any process was asked to stop.

        Raises:
            DivergedError: The last loss was not finite in one of them, and the weights are not.
        """
        if not self._world.agree(self._stop.requested or not self._is_loss_finite):
            return False
        self._check_weights()
        return self._is_stopped()

    def _check_weights(self) -> None:
        """Raise in all processes if weights are not finite, which ends a run unless asked.

        Raises:
            DivergedError: They are not.
        """
        if self.state.training_config.terminate_on_nan and not self._are_weights_finite():
            raise self._diverged(WEIGHTS)

    def _are_weights_finite(self) -> bool:
        return not self._world.agree(not are_finite(self.model.parameters()))

    def _diverged(self, found: str) -> DivergedError:
        self._saver.wait()  # a step that is still being saved is told as saved
        return diverged_error(
            found,
            self.state.step,
            folder=self._folder,
            saved_step=self._saved_step,
            training=self.state.training_config,
        )

    def _is_due(self) -> bool:
        """Return whether this step is to be evaluated, and has not been."""
        step = self.state.step
        if self.state.evaluated_step == step:
            return False
        return step % self.state.training_config.eval_interval == 0 or self._is_over

    def _is_snapshot_due(self) -> bool:
        return is_snapshot_due(self.state.training_config, self._decay_step, self.state.step)

    def _lacks_decay_copy(self) -> bool:
        """Return whether the decay begins at this step, and nothing keeps what was before."""
        step, folder = self.state.step, self._folder
        if folder is None or step != self._decay_step:
            return False
        return step not in find_snapshots(folder, self.state.run_id)

    def _announce_decay(self) -> None:
        """Announce the copy of the model before its learning rate decays."""
        if self._folder is not None and self.state.step == self._decay_step:
            copy = CopyKind.NUMBERED.path(self._folder, self.state.step)
            message = describe_copy(copy, self.state.step, in_python=self._in_python)
            self._dispatcher.emit(events.Notice(message=message))

    def _evaluate_and_save(self) -> None:
        """Evaluate, decide on gold, and save what follows from it.

        A run that was killed in between comes here again when resumed and writes the same gold.

        Raises:
            EvaluationStoppedError: The run was asked to stop meanwhile.
            DivergedError: A loss or a weight is not finite, which ends a run unless asked.
        """
        self._log_step(self._meter.collect())  # what is logged after it is of later steps
        began, training = time.monotonic(), self.state.training_config
        with self._meter.pause():
            evaluation = self._evaluation.measure(self.state.step, training)
        duration_s = time.monotonic() - began
        self._saver.wait()  # as the save that follows would: what is logged follows what is saved
        memory = self.state.gold or GoldMemory()
        decision = decide(evaluation, memory, self._guards, training.gold_metric)
        self.state = evolve(
            self.state,
            gold=decision.memory,
            stopping=note_evaluation(self.state.stopping, self.state.step, decision.loss),
            elapsed_s=self._read_clock(),
        )
        self._is_over = bool(list_ends(self.state))
        was_finite = self._last is None or explain_losses(self._last) is None
        self._last = evaluation
        step = self.state.step
        lr = self._updater.learning_rate.at(min(step, training.max_iters - 1))
        self._dispatcher.emit(
            reports.evaluated(
                evaluation,
                training,
                lr=lr,
                elapsed_s=self._elapsed_s,
                tokens_processed=self.state.tokens_processed,
                eval_duration_s=duration_s,
                phase=self.phases.name_at(max(0, step - 1)) or DEFAULT_PHASE,
            )
        )
        gold = reports.gold_decided(evaluation, decision, memory.best_val_loss)
        if gold is not None and not decision.promoted:
            self._dispatcher.emit(gold)
        found = explain_losses(evaluation)
        if found is not None and training.terminate_on_nan:
            raise self._diverged(found)
        if found is not None and was_finite:
            message = f"At step {step} {found}; the run goes on, as terminate_on_nan is off"
            self._dispatcher.emit(events.Notice(message=message))
        kinds = [CopyKind.GOLD] if decision.promoted else []
        kinds += [CopyKind.NUMBERED] if self._is_snapshot_due() else []
        kinds += [CopyKind.FP16] if self._is_over else []
        kinds += [CopyKind.EMA] if self._mean is not None else []
        self._save(*kinds, gold=gold if decision.promoted else None)
        self._announce_decay()
        self._call(self._callbacks.evaluated, evaluation, lr, self.model)

    def _is_stopped(self) -> bool:
        """Return whether any process of the run was asked to stop."""
        return self._world.agree(self._stop.requested)

    def _save(self, *kinds: CopyKind, gold: events.Event | None = None) -> None:
        """Save the state, and these copies of the model, unless weights are not finite.

        What was saved before is worth more than such weights, also where the run goes on with them.

        Args:
            kinds: The copies.
            gold: Announces the gold one; see `SaveSequence.save`.

        Raises:
            DivergedError: They are not, which ends a run unless asked.
        """
        if not self._are_weights_finite():
            self._refuse_save()
            return
        self._is_saved, self._saved_step = True, self.state.step
        self._save_times.note_save()
        self._log_step(self._meter.collect())  # a resumed run goes on after this step
        is_last = self._is_over and self.state.evaluated_step == self.state.step
        with self._meter.pause():
            self._saves.save(self._take_state, kinds, gold, is_last=is_last)

    def _take_state(self) -> TrainingState:
        """Return the state as it is saved, with what the sinks keep."""
        self.state = evolve(self.progress(), sinks=self._dispatcher.collect_states())
        return self.state

    def _save_snapshot(self) -> None:
        self._save(CopyKind.NUMBERED)
        self._announce_decay()

    def _refuse_save(self) -> None:
        if self.state.training_config.terminate_on_nan:
            raise self._diverged(WEIGHTS)
        if self._folder is not None:
            message = f"Step {self.state.step} is not saved: {WEIGHTS}"
            self._dispatcher.emit(events.Notice(message=message))

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call a function of the caller; where it fails, save before that is raised.

        It may put the model into evaluation mode: training goes on with dropout all the same.
        """
        try:
            callback(*arguments, self._stop.ask)
        except Exception:
            if not self._is_saved:
                with suppress(DivergedError):  # the caller's error is the one to raise
                    self._save()
            self._saver.wait()
            raise
        if not self.model.training:
            self.model.train()

    def progress(self) -> TrainingState:
        """Return the state as it is now, saved or not."""
        return evolve(self.state, scaler=self._updater.scaler_state)

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def _complete(self, last: Evaluation, started_at: str) -> None:
        memory = self.state.gold or GoldMemory()
        self._dispatcher.emit(
            reports.training_complete(
                last,
                self.state.training_config,
                ends=list_ends(self.state),
                started_at=started_at,
                elapsed_s=self._elapsed_s,
                tokens_processed=self.state.tokens_processed,
                updates=count_updates(
                    last.step,
                    self.state.tokens_processed,
                    self.model.config,
                    self.state.training_config,
                ),
                best_val_loss=memory.best_val_loss,
                gold_step=memory.best_step,
            )
        )


def _own_randomness(device: torch.device) -> AbstractContextManager[None]:
    """Restore the caller's random generators after the run."""
    fork: AbstractContextManager[None] = torch.random.fork_rng(
        devices=[device] if device.type == "cuda" else []
    )
    return fork
