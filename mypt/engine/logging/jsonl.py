"""The JSONL log: append events, and truncate what a resumed run will log again."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from mypt.engine.logging.events import Step
from mypt.format.errors import Problem, SaveError
from mypt.format.storage.fsync import sync_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TextIO


class JsonlSink:
    """Append each event as a line of JSON, except those of single steps."""

    def __init__(self, path: Path) -> None:
        """Prepare the log `path`; it is opened at the first event."""
        self._path = path
        self._stream: TextIO | None = None

    def resume(self, step: int, evaluated_step: int) -> None:
        """Truncate the log to where a resumed run starts.

        Args:
            step: The step that the run starts from.
            evaluated_step: The last evaluated step.
        """
        if self._path.is_file():
            drop_after(self._path, step, evaluated_step)

    def start_over(self) -> None:
        """Drop the events of a run that was killed before its first save."""
        if self._path.is_file():
            drop_unsaved(self._path)

    def emit(self, event: Mapping[str, Any]) -> None:
        """Append one event and sync it to disk, before the save that follows it."""
        if event["event"] == Step.name:
            return
        try:
            if self._stream is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8")
            self._stream.write(json.dumps(event, allow_nan=False) + "\n")
            self._stream.flush()
            sync_file(self._stream.fileno())
        except OSError as error:
            what = f"cannot be written: {error.strerror}"
            raise SaveError(
                Problem(str(self._path), "", what, "free space, or choose another --log_file")
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()


def drop_after(path: Path, step: int, evaluated_step: int) -> None:
    """Truncate the log after the step a resumed run starts from, and drop an unfinished last line.

    A run that was killed between its log and its save repeats those steps when it resumes.

    Args:
        path: The log.
        step: The step that the run starts from.
        evaluated_step: The last evaluated step.
    """

    def is_done_again(kind: str, at: int | None) -> bool | None:
        if at is None:
            return None
        if kind == "phase_switch":  # logged by the update after the step
            return at >= step
        return at > (step if kind == "interrupted" else evaluated_step)

    _truncate(path, is_done_again)


def drop_unsaved(path: Path) -> None:
    """Drop the last events if all are of step 0, and an unfinished last line.

    A run that was killed before its first save, which is that of step 0, starts over.
    """

    def is_begun_anew(kind: str, at: int | None) -> bool | None:
        if at is None:
            return False if kind == "training_complete" else None
        return at == 0 and kind != "interrupted"

    _truncate(path, is_begun_anew)


def _truncate(path: Path, is_dropped: Callable[[str, int | None], bool | None]) -> None:
    """Truncate a log, and drop an unfinished last line.

    Args:
        path: The log.
        is_dropped: Whether to drop an event, by its kind and step. Called from the last line
            backwards to the first that stays; None means like its neighbours.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    kept = len(lines)
    for number in reversed(range(len(lines))):
        finished = lines[number].endswith(b"\n")
        dropped = _ask_of_line(is_dropped, lines[number]) if finished else True
        if dropped is False:
            break
        kept = number if dropped else kept
    os.truncate(path, sum(len(line) for line in lines[:kept]))


def _ask_of_line(is_dropped: Callable[[str, int | None], bool | None], line: bytes) -> bool | None:
    try:
        event = json.loads(line)
    except ValueError:
        return False  # not a line of ours: it stays
    if not isinstance(event, dict):
        return None
    at = event.get("iter")
    return is_dropped(str(event.get("event", "eval")), at if isinstance(at, int) else None)
