"""What an update is made with: optimizers, learning-rate schedules and losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from mypt.format.optimizers.declaration import Declaration, StateOf, keep_nothing
from mypt.plugins.contracts.factory import JsonSchema, Options, VersionedFactory

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from mypt.format.documents.training import TrainingConfig


@frozen
class OptimizerFactory(VersionedFactory):
    """An optimizer that a plugin offers; see also `VersionedFactory`.

    What goes on after a resume is what `optimizer.state` holds for each parameter, and the settings
    of the groups that `progress` names; an optimizer keeps nothing elsewhere.

    Attributes:
        name: Its value in `optimizer` of a training config.
        build: Builds it from the parameters by name and the hyperparameters of the run. Each
            parameter is in one of its groups, also one that is frozen, whose gradient is None. The
            `lr` of a group is the peak of its schedule.
        state: Returns what it keeps for a parameter once it has updated it, from the parameter and
            the settings of its group. Needs no torch.
        settings: Names of the hyperparameters of its groups, beside `lr` and `name`. They are saved
            with the state, and are those of `build` again when a run goes on.
        progress: Names of the settings of its groups that its updates change: numbers, such as a
            counter. They are saved, and go on from there.
        options: JSON Schema of `optimizer_options` of a training config.
    """

    name: str
    build: Callable[[Mapping[str, nn.Parameter], TrainingConfig], Optimizer]
    state: StateOf = keep_nothing
    settings: tuple[str, ...] = field(default=(), kw_only=True)
    progress: tuple[str, ...] = field(default=(), kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)

    @property
    def declaration(self) -> Declaration:
        """What it keeps, for what needs no torch."""
        return Declaration(state=self.state, settings=self.settings, progress=self.progress)


# Where the learning rate of the update that follows `step` updates stands, from 0 (`min_lr`) to 1
# (the peak). A pure function of the step, so that a resumed run has the rates of one that was never
# stopped.
Schedule = Callable[[int], float]


@frozen
class ScheduleFactory(VersionedFactory):
    """A learning-rate schedule that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its value in `lr_schedule` of a training config.
        build: Builds it from the hyperparameters of the run, `max_iters`, `warmup_steps` and
            `lr_schedule_options` among them. `min_lr` and the linear warm-up are mypt's: with f
            for what the schedule returns, the rate is min_lr + f (peak - min_lr), and in the
            warm-up that part of it.
        options: JSON Schema of `lr_schedule_options`.
        min_lr_fraction: The share of the peak that is `min_lr` where a run names none.
        decay_step: Returns the updates done when a decay begins, of which a run keeps a numbered
            copy, so that a longer run can go on from there; None for a schedule without one.
    """

    name: str
    build: Callable[[TrainingConfig], Schedule]
    min_lr_fraction: float = field(default=0.0, kw_only=True)
    decay_step: Callable[[TrainingConfig], int] | None = field(default=None, kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)


class TokenLoss(Protocol):
    """The loss of each position, which training makes small; evaluation is always cross entropy.

    It is called for some positions at a time, so that the logits of all never exist where the
    vocabulary is wide. The loss of a position must depend on nothing but its logits and target.
    """

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the losses of some positions.

        Args:
            logits: (N, vocab_size), floating; N is a part of the positions of a batch.
            targets: The ids to predict, (N,) int64, each in 0 ... vocab_size - 1.

        Returns:
            (N,), differentiable, in nats where it is a cross entropy.
        """
        ...


@frozen
class LossFactory(VersionedFactory):
    """A training loss that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its value in `loss` of a training config.
        build: Builds it from `loss_options`. Import torch inside. One that returns a
            `mypt.plugins.CrossEntropy` has its gradient computed in closed form; that of any other
            is computed by autograd.
        options: JSON Schema of `loss_options`.
    """

    name: str
    build: Callable[[Options], TokenLoss]
    options: JsonSchema = field(factory=dict, kw_only=True)
