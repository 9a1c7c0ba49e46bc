"""The log sinks that come with mypt: the console and the JSONL file."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from mypt.engine.humanize import short_count, short_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


class ConsoleSink:
    """Tell a person how the run goes: a live bar on a terminal, plain lines in a pipe."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self._console = console
        self._bar: Any = None
        self._task: Any = None
        self._max_iters = 0
        self._first: tuple[int, datetime] | None = None  # step and time that it is foretold from
        self._is_evaluated = False

    def emit(self, event: Mapping[str, Any]) -> None:
        """Print the event, where it is one to print."""
        tell = getattr(self, f"_tell_{event['event']}", None)
        if tell is not None:
            tell(event)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _tell_notice(self, event: Mapping[str, Any]) -> None:
        self._print(event["message"])

    def _tell_training_start(self, event: Mapping[str, Any]) -> None:
        config, model = event["config"], event["model"]
        self._max_iters = config["max_iters"]
        self._first = config["start_step"], datetime.fromisoformat(event["timestamp"])
        begin = f"from step {config['start_step']} " if config["start_step"] else ""
        self._print(
            f"Training {model['total_params']:,} parameters {begin}to step {self._max_iters}, "
            f"{config['tokens_per_step']:,} tokens per step"
        )

    def _tell_step(self, event: Mapping[str, Any]) -> None:
        if not self._console.is_terminal:
            return
        if self._bar is None:
            self._open_bar(event)
        self._bar.update(
            self._task, completed=event["iter"], loss=f"loss {event['train_loss']:.4f}"
        )

    def _open_bar(self, event: Mapping[str, Any]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        loss = TextColumn("{task.fields[loss]}")
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            loss,
            Remaining(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(
            "training", total=event["max_iters"], completed=event["iter"], loss=""
        )
        self._bar.start()

    def _tell_eval(self, event: Mapping[str, Any]) -> None:
        step, elapsed = event["iter"], event["elapsed_s"]
        now = datetime.fromisoformat(event["timestamp"])
        self._print(
            f"step {step}/{self._max_iters} ({event['progress_pct']:.1f}%) | {now:%H:%M:%S} | "
            f"{short_duration(elapsed)} | {self._eta(step, now)}"
            f"{short_count(event['tokens_processed'])} tokens"
        )
        phase = [] if event["phase"] == "default" else [f"phase: {event['phase']}"]
        named = [
            f"{name.removeprefix('eval_')} {_loss(value)}"
            for name, value in event.items()
            if name.startswith("eval_") and name != "eval_duration_s"
        ]
        losses = [f"val {_loss(event['val_loss'])}", f"train {_loss(event['train_loss'])}"]
        self._print("  " + " | ".join([*losses, f"lr {event['lr']:.2e}", *phase, *named]))

    def _eta(self, step: int, now: datetime) -> str:
        """Foretell the end by the steps since the first evaluation, which are the steady ones."""
        if step >= self._max_iters:
            return ""
        first_step, then = self._first or (step, now)
        if not self._is_evaluated:
            self._first, self._is_evaluated = (step, now), True
        done, spent_s = step - first_step, (now - then).total_seconds()
        left = short_duration(spent_s / done * (self._max_iters - step)) if done else "?"
        return f"ETA {left} | "

    def _tell_gold_checkpoint(self, event: Mapping[str, Any]) -> None:
        name = "gold_loss" if "gold_loss" in event else "val_loss"
        self._print(f"  GOLD checkpoint! {name}={event[name]:.4f} at step {event['iter']}")

    def _tell_gold_blocked(self, event: Mapping[str, Any]) -> None:
        best, loss = event["best_val_loss"], event.get("gold_loss", event["val_loss"])
        name = "gold loss" if "gold_loss" in event else "val"
        better = f"{name} {loss:.4f} < best {best:.4f} but " if best is not None else ""
        self._print(f"  GOLD blocked: {better}{event['reason']}")

    def _tell_phase_switch(self, event: Mapping[str, Any]) -> None:
        self._print(f"Phase {event['new_phase']} begins at step {event['iter']}")

    def _tell_training_complete(self, event: Mapping[str, Any]) -> None:
        self._print(
            f"Step {event['total_steps']}: {short_count(event['total_tokens'])} tokens in "
            f"{short_duration(event['total_elapsed_s'])} ({event['tokens_per_sec']:,} tokens/s)"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _loss(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"
