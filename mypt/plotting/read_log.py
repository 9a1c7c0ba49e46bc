"""Read the JSON lines of training logs: mypt's own, and all that MyPT wrote."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from attrs import evolve

from mypt.engine.logging.events import NO_LOSSES
from mypt.engine.logging.log_lines import LogOwner, owner_of, parse_line
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, FormatError, Problem
from mypt.plotting.run import (
    GoldMark,
    LoggedEvaluation,
    LoggedPhase,
    LoggedStart,
    LoggedStep,
    Run,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Event = Mapping[str, Any]

NOT_FINITE = math.nan
_EVAL = "eval_"
_MAX_REASON = 300
# The range of float32: no loss and no learning rate is outside of it.
_SMALLEST, _LARGEST = 1e-38, 3e38
# What logs of before do not have: their schedule was the cosine.
_SCHEDULE_FIELDS = ("lr_schedule", "lr_schedule_options", "min_lr")


def read_log(path: str | Path) -> list[Run]:
    """Read the runs of a log: of each model that it names, the one that logged last.

    Tolerated are an unfinished last line, a partial line that a killed run left in front of the
    first line of the next run, lines without `event` (each an evaluation), NaN and Infinity, and
    events and fields of later versions.

    Args:
        path: The file. If there is but one run, it is called by its name.

    Raises:
        FormatError: It cannot be read, a line is not an event, or it contains no evaluation.
    """
    stories = _read_stories(path)
    last = {None if owner is None else owner.model_name: story for owner, story in stories.items()}
    stem = Path(path).stem.removesuffix("_eval") or Path(path).stem
    told = {name: story for name, story in last.items() if story.evaluations}
    if not told:
        _raise_without_evaluation(path)
    return [
        story.to_run(path, stem if name is None or len(told) == 1 else name)
        for name, story in told.items()
    ]


def read_run(path: str | Path, owner: LogOwner) -> Run:
    """Read the run of a model, in a log that may have lines of others.

    Args:
        path: The file.
        owner: Whose lines. Without a `run_id`, or where no line has it, those that do not say
            whose they are, as of MyPT.

    Raises:
        FormatError: As `read_log`, or there is no evaluation of that run.
    """
    stories = _read_stories(path)
    story = stories.get(owner) or _last_of_run(stories, owner.run_id) or stories.get(None)
    if story is None or not story.evaluations:
        _raise_without_evaluation(path, f" of {owner.model_name}" if stories else "")
    return story.to_run(path, owner.model_name)


def read_last_run(path: str | Path, model_name: str) -> Run:
    """Read the last run of a model that is no longer there, as `read_run`."""
    stories = _read_stories(path)
    names = {owner.model_name for owner in stories if owner is not None}
    own = [o for o in stories if o is None or o.model_name == model_name or model_name not in names]
    if not own or not stories[own[-1]].evaluations:
        _raise_without_evaluation(path)
    return stories[own[-1]].to_run(path, model_name)


def _read_stories(path: str | Path) -> dict[LogOwner | None, _Story]:
    """Read what each run of a log tells, the one that logged last at the end.

    A run whose model was renamed, or that an early mypt began, has its past under another owner.
    """
    stories: dict[LogOwner | None, _Story] = {}
    for number, event in _read_events(Path(path)):
        owner = owner_of(event)
        story = stories.pop(owner, _Story())
        try:
            if story.is_empty and owner is not None and _read_start_step(event):
                story.take_over(_last_of_run(stories, owner.run_id) or stories.pop(None, _Story()))
            story.hear(event)
        except _WrongFieldError as error:
            _raise_log_error(str(path), f"line {number} {error}", "correct the line, or remove it")
        stories[owner] = story
    return stories


def _last_of_run(stories: Mapping[LogOwner | None, _Story], run_id: str | None) -> _Story | None:
    """Return the last story of a run, whatever its model is called; None if there is none."""
    own = [s for o, s in stories.items() if o is not None and o.run_id == run_id]
    return own[-1] if own else None


class _WrongFieldError(ValueError):
    """A field is missing or of the wrong type."""


class _Story:
    """What the events of a log add up to; repeated steps replace the earlier ones."""

    def __init__(self) -> None:
        self.evaluations: list[LoggedEvaluation] = []
        self.gold: list[GoldMark] = []
        self.phases: list[LoggedPhase] = []
        self.starts: list[LoggedStart] = []
        self.updates: list[LoggedStep] = []
        self.first_phase = "default"
        self._final_gold = False

    @property
    def is_empty(self) -> bool:
        """Whether no chart would show anything."""
        return not (self.evaluations or self.gold or self.phases)

    def take_over(self, past: _Story) -> None:
        """Begin with what another story tells."""
        self.evaluations, self.gold = [*past.evaluations], [*past.gold]
        self.phases, self.starts = [*past.phases], [*past.starts]
        self.updates = [*past.updates]
        self.first_phase = past.first_phase

    def to_run(self, path: str | Path, name: str) -> Run:
        """Return the run; there must be an evaluation."""
        return Run(
            name=printable(name),
            file=str(path),
            evaluations=tuple(self.evaluations),
            gold=tuple(self.gold),
            phases=self.named_phases(),
            starts=tuple(self.starts),
            updates=tuple(self.updates),
        )

    def hear(self, event: Event) -> None:
        """Process the next event; events that no chart shows are skipped."""
        kind = event.get("event", "eval")
        handle: Callable[[Event], None] | None = getattr(self, f"_hear_{kind}", None)
        if handle is not None:
            handle(event)

    def named_phases(self) -> tuple[LoggedPhase, ...]:
        """Return the phases, the first one included."""
        if not self.phases and self.first_phase == "default":
            return ()
        first = LoggedPhase(step=self.evaluations[0].step, name=self.first_phase)
        later = [phase for phase in self.phases if phase.step > first.step]
        return (first, *later)

    def _hear_training_start(self, event: Event) -> None:
        step = _read_start_step(event)
        self._go_back(step or -1)
        _replace_from(self.starts, LoggedStart(step=step, training=_read_schedule(event)))

    def _hear_eval(self, event: Event) -> None:
        step = _read_count(event, "iter")
        self._go_back(step)
        if not self.evaluations:
            self.first_phase = printable(_read_text(event, "phase", "default"))
        lr = _read_loss(event, "lr", required=False)
        evaluation = LoggedEvaluation(
            step=step,
            tokens=_read_count(event, "tokens_processed", -1)
            if "tokens_processed" in event
            else None,
            lr=lr if math.isfinite(lr) else None,
            losses=_read_losses(event),
        )
        _replace_from(self.evaluations, evaluation)

    def _hear_step(self, event: Event) -> None:
        names = ("train_loss", "grad_norm", "tokens_per_sec")
        loss, norm, pace = (_read_loss(event, name, required=False) for name in names)
        step = _read_count(event, "iter")
        update = LoggedStep(step=step, loss=loss, grad_norm=norm, tokens_per_sec=pace)
        _replace_from(self.updates, update)

    def _hear_phase_switch(self, event: Event) -> None:
        name = printable(_read_text(event, "new_phase"))
        _replace_from(self.phases, LoggedPhase(step=_read_count(event, "iter"), name=name))

    def _hear_gold_checkpoint(self, event: Event) -> None:
        self._mark(event, None)

    def _hear_gold_checkpoint_final_eval(self, event: Event) -> None:
        self._mark(event, None)
        self._final_gold = True

    def _hear_gold_blocked(self, event: Event) -> None:
        self._mark(event, printable(_read_text(event, "reason"), _MAX_REASON))

    def _hear_training_complete(self, event: Event) -> None:
        """Add the last losses, which MyPT logged only in this event."""
        step = _read_count(event, "total_steps")
        if self.evaluations and self.evaluations[-1].step < step:
            losses = {"val": _read_loss(event, "final_val_loss")}
            if "final_train_loss" in event:
                losses["train"] = _read_loss(event, "final_train_loss")
            tokens = _read_count(event, "total_tokens", -1) if "total_tokens" in event else None
            self.evaluations.append(
                LoggedEvaluation(step=step, tokens=tokens, lr=None, losses=losses)
            )
        if self._final_gold and self.gold:  # MyPT logged that step as one less
            self.gold[-1] = evolve(self.gold[-1], step=step)
        self._final_gold = False

    def _mark(self, event: Event, reason: str | None) -> None:
        mark = GoldMark(
            step=_read_count(event, "iter"), val_loss=_read_loss(event, "val_loss"), reason=reason
        )
        _replace_from(self.gold, mark)

    def _go_back(self, step: int) -> None:
        """Drop what came after a step that the run went back to."""
        for items in (self.evaluations, self.updates, self.gold, self.phases):
            while items and items[-1].step > step:
                items.pop()


def _replace_from(items: list[Any], item: Any) -> None:
    """Append an item, in place of all items from its step on."""
    while items and items[-1].step >= item.step:
        items.pop()
    items.append(item)


def _read_events(path: Path) -> Iterator[tuple[int, Event]]:
    """Yield the number of each line and its event."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                event = parse_line(line)
                if event is not None:
                    yield number, event
                elif line.endswith(b"\n"):
                    _raise_log_error(
                        file, f"line {number} is not a JSON object", "name a log of a training run"
                    )
    except OSError as error:
        _raise_log_error(file, f"cannot be read ({error.strerror})", "name a log of a training run")


def _read_losses(event: Event) -> dict[str, float]:
    losses = {"val": _read_loss(event, "val_loss")}
    if "train_loss" in event:
        losses["train"] = _read_loss(event, "train_loss")
    for field, value in event.items():
        if field.startswith(_EVAL) and field not in NO_LOSSES and _is_loss(value):
            losses[printable(field.removeprefix(_EVAL))] = _read_loss(event, field)
    return losses


def _is_loss(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _read_loss(event: Event, name: str, *, required: bool = True) -> float:
    """Return a number; NaN for null, for what is not finite, and for an absent optional field."""
    if name not in event and required:
        message = f"has no `{name}`"
        raise _WrongFieldError(message)
    value = event.get(name)
    if not _is_loss(value):
        message = f"has a `{name}` that is not a number"
        raise _WrongFieldError(message)
    try:
        number = NOT_FINITE if value is None else float(value)
    except OverflowError:
        return NOT_FINITE
    if not abs(number) <= _LARGEST:
        return NOT_FINITE
    return number if abs(number) >= _SMALLEST else 0.0


def _read_count(event: Event, name: str, default: int | None = None) -> int:
    value = event.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        message = f"has no `{name}`" if value is None else f"has a `{name}` that is not a count"
        raise _WrongFieldError(message)
    return value


def _read_start_step(event: Event) -> int:
    """Return the step that a run begins from; 0 where the event is not its beginning."""
    config = event.get("config")
    if event.get("event") != "training_start" or not isinstance(config, dict):
        return 0
    return _read_count(config, "start_step", 0)


def _read_schedule(event: Event) -> TrainingConfig | None:
    """Return the hyperparameters of the learning rate; None unless all are there."""
    config = event.get("config")
    named: Mapping[str, Any] = config if isinstance(config, dict) else {}
    peak, warmup = named.get("learning_rate"), named.get("warmup_iters")
    steps = named.get("max_iters")
    if not (_is_rate(peak) and _is_rate(warmup) and _is_rate(steps)) or not isinstance(steps, int):
        return None
    chosen = {name: named[name] for name in _SCHEDULE_FIELDS if name in named}
    try:
        return TrainingConfig(
            learning_rate=peak, warmup_iters=warmup, max_iters=max(steps, 1), **chosen
        )
    except ConfigError:
        return None


def _is_rate(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that a schedule may have."""
    return isinstance(value, int | float) and value is not True and 0 <= value <= _LARGEST


def _read_text(event: Event, name: str, default: str | None = None) -> str:
    value = event.get(name, default)
    if not isinstance(value, str):
        message = f"has no `{name}`" if value is None else f"has a `{name}` that is not a string"
        raise _WrongFieldError(message)
    return value


def _raise_without_evaluation(path: str | Path, whose: str = "") -> NoReturn:
    what, fix = f"contains no evaluation{whose}", "wait for the first one, or name another log"
    _raise_log_error(str(path), what, fix)


def _raise_log_error(file: str, what: str, fix: str) -> NoReturn:
    raise FormatError(Problem(file, "", what, fix, kind="log"))
