"""The file of a log: whether it is one, its lock, and where in it a run goes on."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import evolve, frozen

from mypt.engine.logging.events import (
    Eval,
    Failed,
    Interrupted,
    PhaseSwitch,
    Saved,
    Step,
    TrainingComplete,
    TrainingStart,
)
from mypt.engine.logging.log_lines import (
    BEGIN_OF_EVENT,
    LogOwner,
    is_event,
    owner_of,
    parse_line,
)
from mypt.format.errors import ConfigError, Problem, SaveError, format_count
from mypt.format.storage.files import (
    is_present,
    is_regular_file,
    real_path,
    unreadable_problem,
)
from mypt.format.storage.lock import file_lock
from mypt.format.storage.save_errors import make_save_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from mypt.plugins.contracts.sink import RunInfo

# Before saves were logged, an evaluation was once the save before was on disk, and its own save was
# written while the training went on: a run that was killed then had logged one since.
_MOST_UNSAVED = 1
_BLOCK_BYTES = 1 << 16
_LONGEST_LINE_BYTES = 1 << 24


@frozen(kw_only=True)
class LogEnd:
    """Where in its log a run goes on.

    Attributes:
        size_bytes: What stays of the file.
        kept: Lines after that which stay as well: a run that goes on does not log again that it
            has failed.
        lines: How many other whole lines come after it, which the run logs again.
        is_torn: Whether an unfinished line does.
        is_open: Whether what stays does not end with a newline.
        later_step: A step after that of the run, to which lines that stay belong; None if it has
            logged no more than is logged again.
    """

    size_bytes: int = 0
    kept: bytes = b""
    lines: int = 0
    is_torn: bool = False
    is_open: bool = False
    later_step: int | None = None


class _Line(NamedTuple):
    """A line of a file, with its newline, and the offset of its first byte."""

    offset: int
    text: bytes


def check_is_log(path: Path) -> None:
    """Raise if something other than a log of mypt or MyPT is in the place of one.

    Only the first line is read.

    Raises:
        ConfigError: It is not a log.
    """
    if not os.path.lexists(path):
        return
    if is_present(path) and not is_regular_file(path):
        raise log_file_error(path, "is not a file")
    try:
        with path.open("rb") as stream:
            first = stream.readline(_LONGEST_LINE_BYTES)
    except FileNotFoundError:  # a link to a log that is still to come
        return
    except OSError as error:
        raise log_file_error(path, f"cannot be read ({error.strerror})") from error
    event = parse_line(first) if first.startswith(b"{") else None
    is_first_event = event is not None and is_event(event)
    is_torn_event = event is None and first.startswith(BEGIN_OF_EVENT[: len(first)])
    if not is_first_event and not (is_torn_event and not first.endswith(b"\n")):
        raise log_file_error(path, "is not a log: its first line is not an event of a run")


def log_file_error(path: Path, what: str) -> ConfigError:
    """Make the error of a log that would go to a place for something else."""
    fix = "choose another --log_file; nothing was written"
    return ConfigError(Problem(str(path), "", what, fix, kind="log_file"))


@contextmanager
def lock_log(path: Path, *, no_lock: bool = False) -> Iterator[str | None]:
    """Hold the lock of a log, a file beside it, for as long as a run lasts.

    Args:
        path: The log; its folder is created if it does not exist.
        no_lock: Whether to go on where the file system has no locks.

    Yields:
        What to warn the user of where there is no lock; None where it is held.

    Raises:
        LockedError: Another run logs there.
        SaveError: The folder cannot be created or written, or its file system has no locks.
    """
    place = real_path(path)
    fix = "wait until it ends, stop it, or choose another --log_file"
    with ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            lock = file_lock(place.with_name(f".{place.name}.lock"), path, fix=fix, no_lock=no_lock)
            warning = stack.enter_context(lock)
        except OSError as error:
            raise log_write_error(path, error) from error
        yield warning


def log_write_error(path: Path, error: OSError) -> SaveError:
    """Make the error of a log that the disk cannot take."""
    return make_save_error(path, error, ", or choose another --log_file")


def find_end(run: RunInfo) -> LogEnd:
    """Find where in its log a run goes on; only the end of the file is read.

    What a run that was killed between its log and its save had logged since is logged again.
    Lines of others stay, also those that do not say whose they are.

    Args:
        run: The run; its log may not exist yet.

    Raises:
        SaveError: The log cannot be read.
    """
    path = run.log_file
    if path is None or not is_regular_file(path):
        return LogEnd()
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            lines = _read_backwards(stream, size)
            last = next(lines, _Line(0, b""))
            if _is_torn(last.text):
                end = LogEnd(size_bytes=last.offset, is_torn=True)
            else:
                end = LogEnd(size_bytes=size, is_open=bool(size) and last.text[-1:] != b"\n")
                lines = chain([last], lines)
            return _find_unsaved(end, lines, run) if run.resumed else end
    except OSError as error:
        raise SaveError(unreadable_problem(error, str(path))) from error


def end_notices(run: RunInfo, end: LogEnd) -> Iterator[str]:
    """Yield what the user is told of the end of a log, a line each."""
    if end.lines:
        removed = f"removed the last {format_count(end.lines, 'line')}"
        yield f"{run.log_file}: {removed}, logged after the last save; the run logs that again"
    if end.is_torn:
        yield f"{run.log_file}: removed an unfinished last line"
    if end.later_step is not None:
        yield (
            f"{run.log_file}: this run has logged up to step {end.later_step}, further than a run "
            f"gets without a save, but goes on from step {run.start_step}: all its lines stay, and "
            "later steps are logged once more"
        )


def find_evaluation(path: Path, run_id: str, step: int) -> dict[str, Any] | None:
    """Return the last evaluation of a run up to a step, as its log has it; None if there is none.

    Raises:
        OSError: The log cannot be read.
    """
    with path.open("rb") as stream:
        for line in _read_backwards(stream, stream.seek(0, os.SEEK_END)):
            event = parse_line(line.text)
            if event is None or event.get("event") != Eval.name or event.get("run_id") != run_id:
                continue
            at = _step_of(event)
            if at is not None and at <= step:
                return event
    return None


def _find_unsaved(end: LogEnd, lines: Iterable[_Line], run: RunInfo) -> LogEnd:
    """Find where what a run has logged since its last save begins.

    Args:
        end: The end of the file, without an unfinished line.
        lines: The lines before it, from the last one backwards.
        run: The run.
    """
    owner, evaluations, latest, found = LogOwner(run.model_name, run.run_id), 0, None, end
    kept: list[bytes] = []
    for number, line in enumerate(lines, 1):
        event = parse_line(line.text)
        if event is None or owner_of(event) != owner:
            break
        if event.get("event") == Failed.name:
            kept.insert(0, line.text)
            continue
        step, is_saved = _step_of(event), _is_saved(event, run)
        latest = step if latest is None else latest
        if is_saved is False:
            evaluations += event["event"] == Eval.name
            found = LogEnd(
                size_bytes=line.offset,
                kept=b"".join(kept),
                lines=number - len(kept),
                is_torn=end.is_torn,
            )
        if is_saved and step is not None and step > run.start_step:
            return evolve(end, later_step=latest)
        if is_saved:
            is_proof = event["event"] in (Saved.name, TrainingStart.name)
            evaluations = 0 if is_proof else evaluations
            break
    return found if evaluations <= _MOST_UNSAVED else evolve(end, later_step=latest)


def _is_saved(event: Mapping[str, Any], run: RunInfo) -> bool | None:
    """Return whether an event came before a save; None where it does not tell."""
    kind, step = event.get("event"), _step_of(event)
    if kind in (Interrupted.name, Saved.name, TrainingComplete.name):
        return True
    if kind == TrainingStart.name:  # from what had been saved
        return step is not None
    if step is None:
        return None
    if kind == PhaseSwitch.name:  # logged by the update after the step
        return step < run.start_step
    if kind == Step.name:  # logged whether or not it is evaluated
        return step <= run.start_step
    return step <= run.evaluated_step


def _step_of(event: Mapping[str, Any]) -> int | None:
    kind, config = event.get("event"), event.get("config")
    if kind == TrainingStart.name:
        step = config.get("start_step") if isinstance(config, dict) else None
    else:
        step = event.get("total_steps" if kind == TrainingComplete.name else "iter")
    return step if isinstance(step, int) else None


def _is_torn(line: bytes) -> bool:
    """Return whether a killed run, or a power cut, left half an event in the place of a line."""
    if line.endswith(b"\n") or parse_line(line) is not None:
        return False
    return line.startswith(b"{") or (bool(line) and not line.strip(b"\0"))


def _read_backwards(stream: BinaryIO, size: int) -> Iterator[_Line]:
    """Yield the lines of a file from the last one to the first, reading a block at a time."""
    at, data = size, b""
    while data or at:
        newline = data.rfind(b"\n", 0, -1)
        if newline < 0 and at:
            length = min(max(_BLOCK_BYTES, len(data)), at)
            at -= length
            stream.seek(at)
            data = stream.read(length) + data
            continue
        yield _Line(at + newline + 1, data[newline + 1 :])
        data = data[: newline + 1]
