"""Log sinks: what receives the events of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import field, frozen

from mypt.plugins.contracts.factory import JsonSchema, Options, VersionedFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class LogSink(Protocol):
    """Receives the events of a run, in order."""

    def emit(self, event: Mapping[str, Any]) -> None:
        """Receive one event; `event["event"]` is its kind (see the reference of events)."""
        ...

    def close(self) -> None:
        """Flush and release resources; called once, even after a failed run."""
        ...


@runtime_checkable
class ResumableSink(Protocol):
    """A `LogSink` that needs something when its run goes on, such as a number that it has there."""

    def state(self) -> Mapping[str, Any]:
        """Return what `RunInfo.state` is when the run goes on from the save that begins now.

        Called before each save. What was emitted before should be on disk when it returns, since a
        run that goes on from that save does not emit it again.

        Returns:
            A JSON object of at most 64 KiB. It is saved in `training_state.json`, for all to read
            who get the model.
        """
        ...


@frozen
class RunInfo:
    """What a log sink may need to know about its run.

    Attributes:
        model_name: Name of the model.
        log_file: The file of the run's JSON lines; None if it keeps no log.
        start_step: The step this run begins from.
        evaluated_step: The last step that was evaluated before this run; -1 where none was.
        resumed: Whether the run continues from a checkpoint.
        quiet: Whether the caller wants nothing printed.
        options: The run's options for the sink, from `log_sinks`.
        run_id: Identity of the run, which each resume keeps; None where it has none.
        state: What `ResumableSink.state` returned when the run was saved; empty at its beginning.
            A run that begins anew from a model, or trains a copy, begins with none.
    """

    model_name: str
    log_file: Path | None
    start_step: int = 0
    evaluated_step: int = 0
    resumed: bool = False
    quiet: bool = False
    options: Options = field(factory=dict)
    run_id: str | None = None
    state: Mapping[str, Any] = field(factory=dict)


@frozen
class SinkFactory(VersionedFactory):
    """A log sink that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its name in `log_sinks` and in messages.
        build: Builds the sink for a run; returns None if this run does not need it.
        options: JSON Schema of its options.
        default: Whether it also receives runs whose `log_sinks` do not name it. A plugin leaves
            this False, so that installing it does not change any run.
    """

    name: str
    build: Callable[[RunInfo], LogSink | None]
    options: JsonSchema = field(factory=dict, kw_only=True)
    default: bool = field(default=False, kw_only=True)
