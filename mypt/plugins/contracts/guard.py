"""Gold guards: what they judge, and their verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from mypt.plugins.contracts.factory import JsonSchema, Options, VersionedFactory


@frozen
class Evaluation:
    """The results of one evaluation, as passed to a gold guard.

    Attributes:
        step: Number of optimizer updates done.
        train_loss: Mean loss on the training split, nats per token.
        val_loss: Mean loss on the validation split, nats per token.
        eval_losses: Mean loss on each additional evaluation set, by name.

    A loss is NaN or infinite where the model diverged, and NaN where nothing was to be learnt.
    """

    step: int
    train_loss: float
    val_loss: float
    eval_losses: Mapping[str, float] = field(factory=dict)


@frozen
class Verdict:
    """A guard's decision on an evaluation.

    Attributes:
        reason: Why this model must not become gold; None allows it.
        memory: State that the guard needs at the next evaluation; must be JSON-serializable.
    """

    reason: str | None
    memory: Mapping[str, Any]


# A pure function of an evaluation and of its own memory (empty before the first evaluation), so
# that a resumed run makes the same decisions as an uninterrupted one.
GoldGuard = Callable[[Evaluation, Mapping[str, Any]], Verdict]


@frozen
class GuardFactory(VersionedFactory):
    """A gold guard that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its name in `gold_guards` and in the guards' memory.
        build: Builds the guard from its options.
        options: JSON Schema of its options.
        default: Whether it also applies to runs whose `gold_guards` do not name it. A plugin leaves
            this False, so that installing it does not change any run.
    """

    name: str
    build: Callable[[Options], GoldGuard]
    options: JsonSchema = field(factory=dict, kw_only=True)
    default: bool = field(default=False, kw_only=True)
