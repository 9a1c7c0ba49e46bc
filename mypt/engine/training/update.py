"""One optimizer update over several micro steps."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mypt.data.randomness import Purpose, torch_seed
from mypt.engine.evaluation.batch_loss import batch_loss
from mypt.engine.optimizers.peaks import note_peaks
from mypt.engine.optimizers.tracked import naming_failures
from mypt.engine.runtime.devices import autocast
from mypt.engine.runtime.fsdp import exchange_gradients, full_tensor, is_sharded
from mypt.engine.runtime.world import ALONE
from mypt.engine.schedules.learning_rate import LearningRate
from mypt.engine.schedules.weight_decay import scheduled_weight_decay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypt.data.batches.batch import Batch
    from mypt.engine.runtime.world import World
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer
    from mypt.plugins.contracts.training import TokenLoss

# Each process has its own dropout masks; those of rank 0 equal those of a single process.
_RANK_BITS = 40


@frozen
class Update:
    """What one update reports.

    Attributes:
        loss: Mean training loss before it, of what `loss` names: scalar on the device, in nats
            per token. Reading it waits for the device.
        lr: Its learning rate: that of groups whose peak is the `learning_rate` of the run.
        grad_norm: Norm of the whole gradient before it was clipped, scalar on the device; None
            where it was not measured.
    """

    loss: torch.Tensor
    lr: float
    grad_norm: torch.Tensor | None = None


class Updater:
    """Makes the updates of a run: forward, backward, clip, step."""

    def __init__(
        self,
        model: Transformer,
        optimizer: torch.optim.Optimizer,
        training: TrainingConfig,
        scaler: Mapping[str, Any] | None = None,
        world: World = ALONE,
        token_loss: TokenLoss | None = None,
    ) -> None:
        """Prepare the updates.

        Args:
            model: The model, on its device.
            optimizer: Its optimizer; `initial_lr` of a group, or else `lr`, is the peak of its
                schedule.
            training: Hyperparameters.
            scaler: State of the gradient scaler of fp16 training, where there was one.
            world: The processes that share each batch.
            token_loss: What the updates make small; None for the cross entropy.
        """
        self.model = model
        self._world = world
        loss = _Loss(model, training, token_loss)
        self._is_sharded = is_sharded(model)
        alone = world.size == 1 or self._is_sharded
        self._parallel = loss if alone else _share_gradients(loss)
        self._is_settled = alone
        self.optimizer = optimizer
        note_peaks(optimizer)
        self._training = training
        self.learning_rate = LearningRate.of(training, model.plugins)
        self._device = next(model.parameters()).device
        model.zero_grad(set_to_none=True)  # what another loop left is not of the first update
        fp16 = self._device.type == "cuda" and training.use_amp and training.amp_dtype == "fp16"
        self._scaler = torch.amp.GradScaler("cuda", enabled=fp16)
        if scaler is not None:
            self._scaler.load_state_dict(dict(scaler))

    @property
    def scaler_state(self) -> dict[str, Any] | None:
        """State of the gradient scaler; None where there is none."""
        return self._scaler.state_dict() or None

    def set_learning_rate(self, step: int) -> float:
        """Set the learning rates of the update that follows `step` updates.

        Returns:
            That of a group whose peak is the `learning_rate` of the run.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate.at(step, group["initial_lr"])
        return self.learning_rate.at(step)

    def update(self, batches: Sequence[Batch], step: int, *, measure_norm: bool = False) -> Update:
        """Make the update that follows `step` updates.

        Args:
            batches: This process's part of each micro step, on the CPU.
            step: Updates done before.
            measure_norm: Whether to measure the norm of the gradient, in all processes.
        """
        training = self._training
        lr = self.set_learning_rate(step)
        if not self._is_settled:
            self._settle(batches[0])
        total = torch.zeros((), device=self._device)
        shares = _shares(batches, self._world)
        for micro_step, (batch, share) in enumerate(zip(batches, shares, strict=True)):
            place = step, micro_step + (self._world.rank << _RANK_BITS)
            torch.manual_seed(torch_seed(training.seed, Purpose.DROPOUT, *place))
            loss = self._backward(batch, share, is_last=micro_step + 1 == len(batches))
            if share > 0:  # without a target a loss has no value, and a gradient of 0
                total += loss
        norm = self._clip(measure_norm=measure_norm)
        with (
            scheduled_weight_decay(self.optimizer, step, training),
            naming_failures(training.optimizer, self.model.plugins),
        ):
            self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(total, lr, norm)

    def _clip(self, *, measure_norm: bool) -> torch.Tensor | None:
        """Clip the gradient; return its norm before where it is to be measured.

        A run that does not clip has it measured just the same, which takes one pass; but not that
        of fp16, whose gradients are scaled until the optimizer's step.
        """
        parameters = list(self.model.parameters())
        if self._training.grad_clip > 0:
            self._scaler.unscale_(self.optimizer)
            norm = torch.nn.utils.clip_grad_norm_(parameters, self._training.grad_clip)
        elif measure_norm and not self._scaler.is_enabled():
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        else:
            return None
        if not measure_norm:
            return None
        return full_tensor(norm) if self._is_sharded else norm

    def _settle(self, batch: Batch) -> None:
        """Let torch fix the order in which it exchanges gradients, before the first update.

        It does so once in a process, after the first backward pass, and the order decides how a
        sum of three or more is rounded: a resumed run would differ from an uninterrupted one.
        """
        self._backward(batch, 1.0, is_last=True)
        self.optimizer.zero_grad(set_to_none=True)
        self._is_settled = True

    def _backward(self, batch: Batch, share: float, *, is_last: bool) -> torch.Tensor:
        with self._synchronised(is_last):
            with autocast(self._device, self._training):
                loss: torch.Tensor = self._parallel(batch.to(self._device)) * share
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _synchronised(self, is_last: bool) -> AbstractContextManager[None]:
        """Return the context in which gradients are exchanged only after the last micro step."""
        if self._is_sharded:
            exchange_gradients(self.model, next_time=is_last)
        if is_last or not isinstance(self._parallel, DistributedDataParallel):
            return nullcontext()
        return self._parallel.no_sync()


class _Loss(nn.Module):
    """The loss as a forward pass, which is what `DistributedDataParallel` wraps."""

    def __init__(
        self, model: Transformer, training: TrainingConfig, token_loss: TokenLoss | None
    ) -> None:
        super().__init__()
        self.model, self._training, self._token_loss = model, training, token_loss

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the mean loss of a batch."""
        return batch_loss(self.model, batch, self._training, self._token_loss)


def _share_gradients(loss: _Loss) -> DistributedDataParallel:
    """Return the loss with gradients that are the mean of all processes'.

    Buffers are sent to all processes before each forward pass only where a model has some that are
    saved: the others, as tables of positions, follow from the config and never change.
    """
    named = dict(loss.model.named_parameters(remove_duplicate=False))
    is_saved = len(loss.model.state_dict()) > len(named)
    parallel = DistributedDataParallel(loss)
    parallel.broadcast_buffers = is_saved  # torch 2.13 has another name for that argument
    return parallel


def _shares(batches: Sequence[Batch], world: World) -> list[float]:
    """Return each micro step's share of the update: that of the tokens it is trained on.

    The mean of means would give a token in a sparse batch more weight than one in a full batch.
    Processes average their gradients, hence the factor.
    """
    counts = [batch.count_targets() for batch in batches]
    total = sum(counts) if world.size == 1 else float(world.total(torch.tensor(sum(counts))))
    return [count / total * world.size for count in counts]
