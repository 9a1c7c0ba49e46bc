"""The events of a run: as classes here, as JSON in the log and for the log sinks of plugins.

A class has the fields of its JSON object, in their order and rounded as they are there; the JSON
Schema `log_event` describes them. What is more than a list of values, `reports` computes.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs
from attrs import field, frozen

from mypt.format.errors import ConfigError, Problem
from mypt.format.optimizers.weight_mean import KEY as MEAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def now() -> str:
    """Return the local time in ISO form, as MyPT's log has it."""
    return datetime.now().isoformat()


@frozen(kw_only=True)
class Event:
    """Something that happened in a run.

    Attributes:
        name: The value of `event` in its JSON object.
    """

    name: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that log sinks get and the JSONL file keeps."""
        values = {a.name: getattr(self, a.name) for a in attrs.fields(type(self))}
        return {"event": self.name, **values}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the event of a JSON object; fields that this version does not know are dropped."""
        known = [a.name for a in attrs.fields(cls) if a.name in document]
        return cls(**{name: document[name] for name in known})


@frozen(kw_only=True)
class Update(Event):
    """One update was made; for live displays, the log does not keep it.

    The loss is that of the update before, so that nobody waits for a GPU.
    """

    name = "update"

    iter: int
    max_iters: int
    train_loss: float
    lr: float


@frozen(kw_only=True)
class Evaluating(Event):
    """A batch of an evaluation is about to be measured; for live displays, like `Update`."""

    name = "evaluating"

    iter: int
    done: int
    total: int


@frozen(kw_only=True)
class LoggedEvent(Event):
    """An event that the log keeps."""

    timestamp: str = field(factory=now)


@frozen(kw_only=True)
class Notice(LoggedEvent):
    """Something the user should know about the run."""

    name = "notice"

    message: str


@frozen(kw_only=True)
class TrainingStart(LoggedEvent):
    """The run begins.

    Attributes:
        config: All fields of the model's config and of the training config.
        model: Shape of the model.
        environment: What computes the run, as `training_state.json` has it.
        run_id: Identity of the run; None, and not in the JSON, where it has none.
    """

    name = "training_start"

    config: Mapping[str, Any]
    model: Mapping[str, Any]
    environment: Mapping[str, Any] = field(factory=dict)
    run_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        document = super().to_json()
        if self.run_id is None:
            del document["run_id"]
        return document


@frozen(kw_only=True)
class Step(LoggedEvent):
    """An update whose figures are logged: one in `log_interval`.

    All are those of the whole run, whatever the number of processes.

    Attributes:
        train_loss: Mean loss of its batches, before the update; None where it was not finite.
        lr: Learning rate of the update.
        grad_norm: Norm of the whole gradient before it was clipped; None where it was not finite
            or is not known.
        tokens_per_sec: Since the step before that was logged, without evaluations and saves.
        mfu: See `mypt.engine.runtime.mfu`; None where it is not known.
        memory_bytes: Of a GPU, the most that was allocated; of a CPU, what the process holds.
    """

    name = "step"

    iter: int
    max_iters: int
    train_loss: float | None
    lr: float
    grad_norm: float | None
    tokens_per_sec: int
    tokens_processed: int
    elapsed_s: float
    mfu: float | None
    memory_bytes: int | None


@frozen(kw_only=True)
class PhaseSwitch(LoggedEvent):
    """The next update is the first of another phase."""

    name = "phase_switch"

    iter: int
    elapsed_s: float
    tokens_processed: int
    new_phase: str


_SET_PREFIX = "eval_"
# Fields of an evaluation with that prefix which are no losses; MyPT's logs have the latter two.
NO_LOSSES = frozenset({"eval_duration_s", "eval_interval", "eval_iters"})
# What console, charts and `gold_metric` call the splits of the training data.
_SPLITS = frozenset({"train", "val"})


@frozen(kw_only=True)
class Eval(LoggedEvent):
    """The model was evaluated; `eval_losses` are those of further sets, by name."""

    name = "eval"

    iter: int
    elapsed_s: float
    tokens_processed: int
    progress_pct: float
    lr: float
    phase: str
    train_loss: float | None
    val_loss: float | None
    eval_losses: Mapping[str, float | None]
    eval_duration_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, which has each further set under a key of its own."""
        document = super().to_json()
        duration = document.pop("eval_duration_s")
        losses = document.pop("eval_losses")
        sets = {f"{_SET_PREFIX}{name}": loss for name, loss in losses.items()}
        return {**document, **sets, "eval_duration_s": duration}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the event of a JSON object."""
        losses = {
            key.removeprefix(_SET_PREFIX): value
            for key, value in document.items()
            if key.startswith(_SET_PREFIX) and key not in NO_LOSSES
        }
        return super().from_json({**document, "eval_losses": losses})


def check_eval_names(names: Iterable[str]) -> None:
    """Check that every evaluation set has a name under which logs and charts can show it.

    Raises:
        ConfigError: One is empty, holds control characters, or has another meaning.
    """
    for name in names:
        if name in _SPLITS:
            what = "is the name of a split of the training data"
        elif name == MEAN:
            what = "is the name of the mean of the weights (--ema)"
        elif f"{_SET_PREFIX}{name}" in NO_LOSSES:
            what = f"has another meaning in the log, as {_SET_PREFIX}{name}"
        elif not name or not name.isprintable():
            what = "is no name that a log or a chart can show"
        else:
            continue
        fix = "rename that set; one of eval_dataset_dir has the name of its folder"
        raise ConfigError(Problem("", "eval_sets", f"`{name}` {what}", fix, kind="eval.name"))


@frozen(kw_only=True)
class _GoldEvent(LoggedEvent):
    """A decision on gold; `gold_loss` is None, and not in the JSON, where `val_loss` decides."""

    iter: int
    val_loss: float | None
    gold_loss: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        document = super().to_json()
        if self.gold_loss is None:
            del document["gold_loss"]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the event of a JSON object."""
        return super().from_json({"gold_loss": None, **document})


@frozen(kw_only=True)
class GoldCheckpoint(_GoldEvent):
    """The model became gold."""

    name = "gold_checkpoint"

    prev_best: float | None


@frozen(kw_only=True)
class GoldBlocked(_GoldEvent):
    """A new lowest loss did not become gold, or there was none; both losses are None then."""

    name = "gold_blocked"

    best_val_loss: float | None
    reason: str


@frozen(kw_only=True)
class Saved(LoggedEvent):
    """A save is on disk: the run goes on from it if it is killed now.

    Attributes:
        folder: The run's own bundle.
        copies: Names of the copies of the model that were saved before it.
        size_bytes: Size of all files that the save is made of.
        save_duration_s: Seconds since the tensors began to be copied.
    """

    name = "saved"

    iter: int
    folder: str
    copies: tuple[str, ...]
    size_bytes: int
    save_duration_s: float


@frozen(kw_only=True)
class Failed(LoggedEvent):
    """The run ended by an error; what it saved before is whole.

    Attributes:
        iter: Updates done.
        error: Name of the error's class.
        reason: What it says, on one line.
    """

    name = "failed"

    iter: int
    error: str
    reason: str


@frozen(kw_only=True)
class Interrupted(LoggedEvent):
    """The run was asked to stop, and its state was saved."""

    name = "interrupted"

    iter: int
    folder: str | None


@frozen(kw_only=True)
class TrainingComplete(LoggedEvent):
    """The run reached `max_iters`, or another limit.

    `ended_by` names the field that sets the limit, and `reason` says how it was reached; both are
    None in logs of before these. Seconds and tokens count from the first update whose time is
    known. That is the model's first, but for one that another program began.
    """

    name = "training_complete"

    started_at: str
    total_elapsed_s: float
    total_elapsed_h: float
    total_steps: int
    total_tokens: int
    steps_per_sec: float
    tokens_per_sec: int
    final_train_loss: float | None
    final_val_loss: float | None
    best_val_loss: float | None
    gold_step: int | None
    config_file: str | None
    dataset_dir: str | None
    ended_by: str | None = None
    reason: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the event of a JSON object."""
        return super().from_json({"ended_by": None, "reason": None, **document})


_CLASSES: Mapping[str, type[Event]] = {
    cls.name: cls
    for cls in (
        Update,
        Evaluating,
        Notice,
        TrainingStart,
        Step,
        PhaseSwitch,
        Eval,
        GoldCheckpoint,
        GoldBlocked,
        Saved,
        Failed,
        Interrupted,
        TrainingComplete,
    )
}

# Those that the log does not keep.
UNLOGGED = frozenset({Update.name, Evaluating.name})
# Every `event` that mypt or MyPT logs.
KINDS = frozenset({*_CLASSES, "gold_checkpoint_final_eval"})


def parse_event(document: Mapping[str, Any]) -> Event | None:
    """Return the event of a JSON object; None for one of a later version."""
    cls = _CLASSES.get(document["event"])
    return None if cls is None else cls.from_json(document)
