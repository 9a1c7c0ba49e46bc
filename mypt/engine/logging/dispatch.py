"""Dispatch the events of a run to its log sinks; a broken sink never stops the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.engine.logging.events import LoggedEvent, Notice
from mypt.format.errors import SaveError, log_traceback, suggestion
from mypt.format.rules.plugin_settings import SINKS
from mypt.plugins.selection import select_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.engine.logging.events import Event
    from mypt.plugins.contracts import LogSink, RunInfo
    from mypt.plugins.manager import Plugins


class EventDispatcher:
    """Sends each event to all sinks of one run.

    A sink that fails is reported to the others once and then dropped.
    """

    def __init__(self, sinks: Mapping[str, LogSink]) -> None:
        """Start with `sinks`, by name."""
        self._sinks = dict(sinks)
        self._held: list[Event] | None = None

    def hold(self) -> None:
        """Keep the place of an event that is still to come: what is logged later waits for it."""
        self._held = []

    def release(self, event: Event) -> None:
        """Emit the event that was to come, and what waits for it.

        Raises:
            SaveError: See `emit`.
        """
        held, self._held = self._held or [], None
        for waiting in (event, *held):
            self.emit(waiting)

    def emit(self, event: Event) -> None:
        """Hand one event to all sinks, as the JSON object that their contract names.

        Raises:
            SaveError: A sink says that the disk cannot take the log.
        """
        if self._held is not None and isinstance(event, LoggedEvent):
            self._held.append(event)
            return
        document = event.to_json()
        for name, sink in list(self._sinks.items()):
            try:
                sink.emit(document)
            except SaveError:
                raise
            except (Exception, SystemExit) as error:  # a plugin's sink must not end a run
                log_traceback(error)
                del self._sinks[name]
                reason = f"{type(error).__name__}: {error}"
                self.emit(Notice(message=f"log sink {name} failed and is off: {reason}"))

    def close(self) -> None:
        """Close all sinks."""
        for name, sink in self._sinks.items():
            try:
                sink.close()
            except (
                Exception,
                SystemExit,
            ) as error:  # the run is over: report it and close the rest
                log_traceback(error)
                remaining = {other: s for other, s in self._sinks.items() if other != name}
                EventDispatcher(remaining).emit(
                    Notice(message=f"log sink {name} did not close: {error}")
                )


def open_sinks(run: RunInfo, plugins: Plugins, wanted: Mapping[str, Any]) -> EventDispatcher:
    """Build the sinks that a run names, and the default ones.

    One that cannot be built or is not installed is reported to the others: a log is no reason
    not to train.

    Args:
        run: The run.
        plugins: Where sinks are looked up.
        wanted: `log_sinks` of the training config.

    Raises:
        ConfigError: Options do not fit their schema.
    """
    built: dict[str, LogSink] = {}
    failed: dict[str, Exception] = {}
    for name, options in select_options(SINKS, wanted, plugins.sinks).items():
        try:
            sink = plugins.sinks[name].build(evolve(run, options=options))
        except Exception as error:
            source = plugins.source_of("mypt_log_sinks", name)
            if source is None or source.is_built_in:
                raise
            log_traceback(error)
            failed[name] = error
        else:
            built |= {} if sink is None else {name: sink}
    dispatcher = EventDispatcher(built)
    for name in wanted:
        if name not in plugins.sinks:
            near = suggestion(name, plugins.sinks)
            dispatcher.emit(Notice(message=f"there is no log sink {name} installed{near}"))
    for name, reason in failed.items():
        dispatcher.emit(Notice(message=f"log sink {name} cannot be built and is off: {reason}"))
    return dispatcher
