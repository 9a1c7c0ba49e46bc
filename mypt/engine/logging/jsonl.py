"""The JSONL log: each event is appended as a line."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mypt.engine.logging.events import UNLOGGED, Step
from mypt.engine.logging.log_file import log_write_error
from mypt.format.storage.operating_system import sync_file
from mypt.format.storage.recorded_paths import record_text, record_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TextIO

    from mypt.engine.logging.log_file import LogEnd
    from mypt.engine.logging.log_lines import LogOwner

NAME = "jsonl"
_PROSE = frozenset({"message", "reason"})  # which may be about a path; other texts may be one


class JsonlSink:
    """Append each event as a line of JSON, except those for live displays."""

    def __init__(self, path: Path, owner: LogOwner, end: LogEnd) -> None:
        """Remove what comes after `end`; the file is opened at the first event.

        Args:
            path: The log.
            owner: Whose lines are appended.
            end: Where the run goes on in it.

        Raises:
            SaveError: The log cannot be written.
        """
        self._path = path
        self._owner = owner
        self._is_open = end.is_open
        self._stream: TextIO | None = None
        if end.lines or end.is_torn:
            try:
                _cut(path, end)
            except OSError as error:
                raise log_write_error(path, error) from error

    def emit(self, event: Mapping[str, Any]) -> None:
        """Append one event; but for a step, sync it to disk as well, before the save that follows.

        A path out of the working folder, in any text of it, is reduced to its last name.
        """
        if event["event"] in UNLOGGED:
            return
        line = json.dumps({**_record(event), **self._owner.fields}, allow_nan=False) + "\n"
        try:
            if self._stream is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8", newline="\n")
                line = f"\n{line}" if self._is_open else line
            self._stream.write(line)
            self._stream.flush()
            if event["event"] != Step.name:
                sync_file(self._stream.fileno())
        except OSError as error:
            self._drop_stream()
            raise log_write_error(self._path, error) from error

    def state(self) -> Mapping[str, Any]:
        """Sync the steps to disk; nothing is needed when the run goes on.

        Raises:
            SaveError: The log cannot be written.
        """
        if self._stream is not None:
            try:
                sync_file(self._stream.fileno())
            except OSError as error:
                self._drop_stream()
                raise log_write_error(self._path, error) from error
        return {}

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def _drop_stream(self) -> None:
        """Close the file of which an error was raised: closing it would raise the same again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _cut(path: Path, end: LogEnd) -> None:
    """Remove what comes after the end of a log, but for what is kept."""
    os.truncate(path, end.size_bytes)
    if end.kept:
        with path.open("ab") as stream:
            stream.write(end.kept if end.kept.endswith(b"\n") else end.kept + b"\n")


def _record(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: record_text(value) if name in _PROSE else record_value(value)
        for name, value in event.items()
    }
