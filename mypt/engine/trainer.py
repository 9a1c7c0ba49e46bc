"""The training loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from attrs import evolve

from mypt.data.randomness import Purpose, torch_seed
from mypt.engine import checkpoints, events
from mypt.engine.devices import autocast
from mypt.engine.evaluation import evaluate
from mypt.engine.gold import decide
from mypt.engine.optimizer import optimizer_state
from mypt.engine.places import sibling
from mypt.engine.schedule import learning_rate_at
from mypt.engine.stopping import StopRequest
from mypt.format.commit import open_for_writing
from mypt.format.documents import GoldMemory, TrainingState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from mypt.data.loader import GPTDataLoader
    from mypt.engine.broadcast import Broadcast
    from mypt.engine.gpt import GPT
    from mypt.format.commit import BundleWriter
    from mypt.plugins.contracts import Evaluation, GoldGuard


class Trainer:
    """One run of training, from a state to the state it ends in.

    Everything random is a function of the seed, the step and the micro step, so a run that was
    stopped anywhere and goes on from its last saved state ends in the same weights.
    """

    def __init__(
        self,
        model: GPT,
        optimizer: torch.optim.Optimizer,
        loader: GPTDataLoader,
        state: TrainingState,
        *,
        broadcast: Broadcast,
        guards: Mapping[str, GoldGuard],
        eval_loaders: Mapping[str, GPTDataLoader],
        writer: BundleWriter | None,
    ) -> None:
        """Prepare a run.

        Args:
            model: The model, on its device.
            optimizer: Its optimizer, with the moments of `state`.
            loader: Where batches come from.
            state: Where to begin; its `training_config` rules the run.
            broadcast: Who hears about it.
            guards: Who may block gold, by name.
            eval_loaders: Further evaluation sets, by name.
            writer: Holder of the bundle's lock; None to save nothing.
        """
        self.model = model
        self.optimizer = optimizer
        self.loader = loader
        self.state = state
        self._broadcast = broadcast
        self._guards = guards
        self._eval_loaders = eval_loaders
        self._writer = writer
        self._device = next(model.parameters()).device
        training = state.training_config
        fp16 = self._device.type == "cuda" and training.use_amp and training.amp_dtype == "fp16"
        self._scaler = torch.amp.GradScaler("cuda", enabled=fp16)
        if state.scaler is not None:
            self._scaler.load_state_dict(dict(state.scaler))
        self._began = time.monotonic() - state.elapsed_s
        self._loss = torch.zeros(())
        self._saved_step: int | None = None

    def run(self) -> TrainingState:
        """Train to `max_iters`, or until asked to stop; give the state that was saved last."""
        training = self.state.training_config
        started_at = events.now()
        self.model.train()
        last: Evaluation | None = None
        with _own_randomness(self._device), StopRequest() as stop:
            if self.state.step == 0:
                last = self._evaluate_and_save()
            while self.state.step < training.max_iters and not stop.requested:
                self.update()
                if self.state.step % training.eval_interval == 0 or self._at_end:
                    last = self._evaluate_and_save()
            if not self._at_end:
                self._stop()
            elif last is not None:
                self._complete(last, started_at)
        return self.state

    @property
    def _at_end(self) -> bool:
        return self.state.step >= self.state.training_config.max_iters

    def update(self) -> None:
        """Make one optimizer update out of `grad_accum_steps` micro steps."""
        training, step = self.state.training_config, self.state.step
        lr = learning_rate_at(step, training)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        before, self._loss = self._loss, torch.zeros((), device=self._device)
        for micro_step in range(training.grad_accum_steps):
            self._loss += self._backward(step, micro_step)
        if training.grad_clip > 0:
            self._scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.grad_clip)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        tokens = events.tokens_per_step(self.model.config, training)
        self.state = evolve(
            self.state, step=step + 1, tokens_processed=self.state.tokens_processed + tokens
        )
        # The loss shown is that of the step before: reading this one's would wait for the device.
        self._broadcast.emit(events.stepped(step + 1, training.max_iters, float(before), lr))

    def _backward(self, step: int, micro_step: int) -> torch.Tensor:
        training = self.state.training_config
        x, y = self.loader.train_batch(training.seed, step, micro_step)
        torch.manual_seed(torch_seed(training.seed, Purpose.DROPOUT, step, micro_step))
        with autocast(self._device, training):
            loss = self.model.loss(x.to(self._device), y.to(self._device))
        loss = loss / training.grad_accum_steps
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _evaluate_and_save(self) -> Evaluation:
        """Evaluate, decide on gold, save gold first and then the run that remembers it.

        Killed in between, the resumed run comes here again and writes the same gold again.
        """
        training, step = self.state.training_config, self.state.step
        began = time.monotonic()
        evaluation = evaluate(self.model, self.loader, self._eval_loaders, training, step)
        memory = self.state.gold or GoldMemory()
        decision = decide(evaluation, memory, self._guards)
        self.state = evolve(self.state, gold=decision.memory)
        self._broadcast.emit(
            events.evaluated(
                evaluation,
                training,
                lr=learning_rate_at(min(step, training.max_iters - 1), training),
                elapsed_s=self._elapsed_s,
                tokens_processed=self.state.tokens_processed,
                eval_duration_s=time.monotonic() - began,
            )
        )
        event = events.gold_decided(evaluation, decision, memory.best_val_loss)
        if event is not None:
            self._broadcast.emit(event)
        if decision.promoted:
            self._save_copy("gold")
        self._save()
        return evaluation

    def _save(self) -> None:
        if self._writer is None or self._saved_step == self.state.step:
            return
        self._mark_time()
        checkpoints.save(self._writer, self.model, self.state, optimizer_state(self.optimizer))
        self._saved_step = self.state.step

    def _save_copy(self, kind: str, dtype: torch.dtype | None = None) -> None:
        """Save the gold copy, whole, or a half-precision one without the optimizer."""
        if self._writer is None:
            return
        self._mark_time()
        optimizer = optimizer_state(self.optimizer) if dtype is None else None
        folder = self._writer.folder
        state = evolve(self.state, copy_of=folder.name)
        with open_for_writing(sibling(folder, kind)) as writer:
            checkpoints.save(writer, self.model, state, optimizer, dtype)

    def _mark_time(self) -> None:
        scaler = self._scaler.state_dict() or None
        self.state = evolve(self.state, elapsed_s=round(self._elapsed_s, 3), scaler=scaler)

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def _stop(self) -> None:
        self._save()
        folder = None if self._writer is None else str(self._writer.folder)
        self._broadcast.emit(events.interrupted(self.state.step, folder))

    def _complete(self, last: Evaluation, started_at: str) -> None:
        self._save_copy("fp16", torch.float16)
        memory = self.state.gold or GoldMemory()
        self._broadcast.emit(
            events.training_complete(
                last,
                self.state.training_config,
                started_at=started_at,
                elapsed_s=self._elapsed_s,
                tokens_processed=self.state.tokens_processed,
                best_val_loss=memory.best_val_loss,
                gold_step=memory.best_step,
            )
        )


def _own_randomness(device: torch.device) -> AbstractContextManager[None]:
    """Leave the caller's random generators as they were, whatever the run seeds."""
    fork: AbstractContextManager[None] = torch.random.fork_rng(
        devices=[device] if device.type == "cuda" else []
    )
    return fork
