"""The log sink that prints: a live bar on a terminal, lines in a pipe."""

from __future__ import annotations

import time
from datetime import datetime
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

from mypt.data.curriculum import DEFAULT_PHASE
from mypt.engine.humanize import short_bytes, short_count, short_duration
from mypt.engine.logging import events
from mypt.engine.schedules.batch_size import micro_steps_until
from mypt.format.documents.training import BatchStretch, TrainingConfig
from mypt.format.errors import escape_controls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console


# Seconds without a line, in a pipe, after which a reader wonders.
_SILENCE_S = 30


class ConsoleSink:
    """Show how the run goes: a live bar on a terminal, plain lines in a pipe."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Print to `console`.

        Args:
            console: Where to.
            clock: Returns seconds, which the ETA counts; the time of day is set now and then.
        """
        self._console = console
        self._clock = clock
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}  # of the bar, by what they show
        self._max_iters = 0
        self._eval_interval = 1
        self._batches = TrainingConfig()
        self._pace: tuple[int, float] | None = None  # step and second that it counts from
        self._has_told_pace = False
        self._first: tuple[int, float] | None = None  # step and second that the ETA counts from
        self._is_evaluated = False
        self._step: events.Step | None = None  # the last one that was logged
        self._evaluated = -1  # step of the last evaluation
        self._printed_s: float | None = None  # seconds of training at the last line of figures

    def emit(self, event: Mapping[str, Any]) -> None:
        """Print the event, where it is one to print."""
        parsed = events.parse_event(event)
        if parsed is not None:
            self._show(parsed)

    def close(self) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @singledispatchmethod
    def _show(self, event: events.Event) -> None:
        """Print an event; one without a method below is for other sinks."""

    @_show.register(events.Notice)
    def _show_notice(self, event: events.Notice) -> None:
        self._print(event.message)

    @_show.register(events.TrainingStart)
    def _show_start(self, event: events.TrainingStart) -> None:
        config, model = event.config, event.model
        self._max_iters = config["max_iters"]
        self._first = config["start_step"], self._clock()
        self._eval_interval = config["eval_interval"]
        stretches = tuple(BatchStretch(**stretch) for stretch in config.get("batch_schedule", ()))
        self._batches = TrainingConfig(
            grad_accum_steps=config["grad_accum_steps"], batch_schedule=stretches
        )
        begin = f"from step {config['start_step']} " if config["start_step"] else ""
        self._print(
            f"Training {model['total_params']:,} parameters {begin}to step {self._max_iters}, "
            f"{config['tokens_per_step']:,} tokens per step"
        )
        if self._console.is_terminal:
            self._open_bar(config["start_step"])

    @_show.register(events.Update)
    def _show_update(self, event: events.Update) -> None:
        if self._bar is not None:
            self._bar.figures = _format_figures(event.train_loss, event.lr, self._step)
            self._bar.update(self._tasks["training"], completed=event.iter)
        elif not self._has_told_pace:
            self._tell_pace(event)

    @_show.register(events.Step)
    def _show_step(self, event: events.Step) -> None:
        """Keep the figures for the lines to come; in a long silence of a pipe, print them."""
        self._step = event
        if self._printed_s is None:
            self._printed_s = event.elapsed_s
        if self._bar is None and event.elapsed_s - self._printed_s > _SILENCE_S:
            figures = _format_figures(event.train_loss, event.lr, event)
            self._print(f"step {event.iter}/{event.max_iters} | {figures}")
            self._printed_s = event.elapsed_s

    def _tell_pace(self, event: events.Update) -> None:
        """Print how long a step takes, once, where it is long until there is more to print."""
        now = self._clock()
        if self._pace is None:  # the first step may have compiled, or filled caches
            self._pace = event.iter, now
            return
        self._has_told_pace = True
        step, then = self._pace
        each_s = (now - then) / (event.iter - step)
        steps = min(-event.iter % self._eval_interval, self._max_iters - event.iter)
        if steps * each_s > _SILENCE_S:
            left = short_duration(steps * each_s)
            self._print(
                f"step {event.iter}/{self._max_iters} | {each_s:.2g}s a step | "
                f"the next evaluation in {left}"
            )

    @_show.register(events.Evaluating)
    def _show_evaluating(self, event: events.Evaluating) -> None:
        if self._bar is None:
            if not self._is_evaluated and event.done == 0:
                self._print(f"Evaluating step {event.iter}: {event.total} batches")
            return
        if "evaluating" not in self._tasks:
            self._tasks["evaluating"] = self._bar.add_task("evaluating", total=event.total)
        self._bar.update(self._tasks["evaluating"], completed=event.done, total=event.total)

    def _open_bar(self, step: int) -> None:
        """Show a bar that moves from now on, also while the first step compiles."""
        from mypt.engine.logging.live_bar import LiveBar

        self._bar = LiveBar(self._console)
        self._tasks["training"] = self._bar.add_task(
            "training", total=self._max_iters, completed=step
        )
        self._bar.start()

    @_show.register(events.Eval)
    def _show_evaluation(self, event: events.Eval) -> None:
        step = event.iter
        if "evaluating" in self._tasks:
            self._bar.remove_task(self._tasks.pop("evaluating"))
        now = datetime.fromisoformat(event.timestamp)
        self._print(
            f"step {step}/{self._max_iters} ({event.progress_pct:.1f}%) | {now:%H:%M:%S} | "
            f"{short_duration(event.elapsed_s)} | {self._eta(step)}"
            f"{short_count(event.tokens_processed)} tokens"
        )
        phase = [] if event.phase == DEFAULT_PHASE else [f"phase: {event.phase}"]
        sets = [f"{name} {_format_loss(loss)}" for name, loss in event.eval_losses.items()]
        losses = [f"val {_format_loss(event.val_loss)}", f"train {_format_loss(event.train_loss)}"]
        self._print("  " + " | ".join([*losses, f"lr {event.lr:.2e}", *phase, *sets]))
        if self._step is not None and self._step.iter > self._evaluated:
            self._print(f"  step {_format_figures(self._step.train_loss, None, self._step)}")
        self._evaluated, self._printed_s = step, event.elapsed_s

    def _eta(self, step: int) -> str:
        """Estimate the time left from the steps since the first evaluation, which are steady."""
        if step >= self._max_iters:
            return ""
        now = self._clock()
        first_step, then = self._first or (step, now)
        if not self._is_evaluated:
            self._first, self._is_evaluated = (step, now), True
        first, here, end = (
            micro_steps_until(s, self._batches) for s in (first_step, step, self._max_iters)
        )
        done = here - first
        left = short_duration((now - then) / done * (end - here)) if done else "?"
        return f"ETA {left} | "

    @_show.register(events.GoldCheckpoint)
    def _show_gold(self, event: events.GoldCheckpoint) -> None:
        name = "val_loss" if event.gold_loss is None else "gold_loss"
        loss = event.val_loss if event.gold_loss is None else event.gold_loss
        self._print(f"  GOLD checkpoint! {name}={loss:.4f} at step {event.iter}")

    @_show.register(events.GoldBlocked)
    def _show_blocked(self, event: events.GoldBlocked) -> None:
        name = "val" if event.gold_loss is None else "gold loss"
        loss = event.val_loss if event.gold_loss is None else event.gold_loss
        best = event.best_val_loss
        is_better = best is not None and loss is not None
        better = f"{name} {loss:.4f} < best {best:.4f} but " if is_better else ""
        self._print(f"  GOLD blocked: {better}{event.reason}")

    @_show.register(events.PhaseSwitch)
    def _show_phase(self, event: events.PhaseSwitch) -> None:
        self._print(f"Phase {event.new_phase} begins at step {event.iter}")

    @_show.register(events.TrainingComplete)
    def _show_end(self, event: events.TrainingComplete) -> None:
        self._print(
            f"Step {event.total_steps}: {short_count(event.total_tokens)} tokens in "
            f"{short_duration(event.total_elapsed_s)} ({event.tokens_per_sec:,} tokens/s)"
        )
        if event.total_steps < self._max_iters:
            self._print(f"Ended before max_iters {self._max_iters}: {event.reason}")

    def _print(self, line: str) -> None:
        shown = escape_controls(line) if self._console.is_terminal else line
        self._console.print(shown, markup=False, highlight=False, soft_wrap=True)


def _format_figures(loss: float | None, lr: float | None, step: events.Step | None) -> str:
    """Return figures of an update on a line of less than 80 characters.

    Args:
        loss: Its loss; None where it was not finite.
        lr: Its learning rate; None to leave it out.
        step: The last update whose other figures are known.
    """
    figures = [f"loss {_format_loss(loss)}"]
    figures += [] if lr is None else [f"lr {lr:.2e}"]
    if step is not None:
        figures += [] if step.grad_norm is None else [f"grad {step.grad_norm:.3g}"]
        figures += [f"{short_count(step.tokens_per_sec)} tokens/s"]
        figures += [] if step.mfu is None else [f"MFU {step.mfu:.1%}"]
        figures += [] if step.memory_bytes is None else [short_bytes(step.memory_bytes)]
    return " | ".join(figures)


def _format_loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.4f}"
