"""Dispatch the events of a run to its log sinks; a broken sink never stops the run."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.engine.logging.events import LoggedEvent, Notice
from mypt.format.errors import SaveError, log_traceback, one_line, suggestion
from mypt.format.rules.plugin_settings import SINKS
from mypt.plugins.contracts.sink import ResumableSink
from mypt.plugins.faults import disable_hint
from mypt.plugins.isolation import summarize_error
from mypt.plugins.selection import select_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.engine.logging.events import Event
    from mypt.plugins.contracts.sink import LogSink, RunInfo
    from mypt.plugins.faults import PluginOrigin
    from mypt.plugins.manager import Plugins


# Largest JSON text that a sink may keep from one resume to the next: each save writes it.
MOST_STATE_BYTES = 1 << 16


class EventDispatcher:
    """Sends each event to all sinks of one run.

    A sink that fails is reported to the others once and then dropped.
    """

    def __init__(
        self,
        sinks: Mapping[str, LogSink],
        states: Mapping[str, Any] | None = None,
        origins: Mapping[str, PluginOrigin] | None = None,
    ) -> None:
        """Start with `sinks`, by name.

        Args:
            sinks: The sinks.
            states: What the sinks of the run had to keep when it was saved last, by name.
            origins: The plugins that they are of, by name.
        """
        self._sinks = dict(sinks)
        self._origins = dict(origins or {})
        self._states = dict(states or {})
        self._held: list[Event] | None = None

    def hold(self) -> None:
        """Keep the place of events that are still to come: what is logged later waits for them."""
        self._held = []

    def announce(self, *came: Event) -> None:
        """Emit what was to come, while the rest goes on waiting.

        Raises:
            SaveError: See `emit`.
        """
        held, self._held = self._held, None
        for event in came:
            self.emit(event)
        self._held = held

    def release(self, *came: Event) -> None:
        """Emit what was to come last, and what waits for it.

        Raises:
            SaveError: See `emit`.
        """
        held, self._held = self._held or [], None
        for waiting in (*came, *held):
            self.emit(waiting)

    def fail(self, event: Event) -> None:
        """Emit the end of a run that failed, whatever else was to come."""
        with suppress(SaveError):  # the run's own error is the one to raise
            self.release()
            self.emit(event)

    def collect_states(self) -> Mapping[str, Any]:
        """Return what the sinks need when the run goes on from the save that begins, by name.

        Of one that is not there or has failed, it is what it was before.

        Raises:
            SaveError: A sink says that the disk cannot take the log.
        """
        for name, sink in self._each_sink():
            if isinstance(sink, ResumableSink):
                try:
                    self._states[name] = check_state(sink.state())
                except SaveError:
                    raise
                except (Exception, SystemExit) as error:  # a plugin's sink must not end a run
                    self._drop(name, error)
        return {name: state for name, state in self._states.items() if state}

    def emit(self, event: Event) -> None:
        """Hand one event to all sinks, as the JSON object that their contract names.

        Raises:
            SaveError: A sink says that the disk cannot take the log.
        """
        if self._held is not None and isinstance(event, LoggedEvent):
            self._held.append(event)
            return
        document = event.to_json()
        for name, sink in self._each_sink():
            try:
                sink.emit(document)
            except SaveError:
                raise
            except (Exception, SystemExit) as error:  # a plugin's sink must not end a run
                self._drop(name, error)

    def _each_sink(self) -> Iterator[tuple[str, LogSink]]:
        """Yield the sinks by name, but for those that are dropped meanwhile.

        The notice that one has failed may be too much for another one.
        """
        for name, sink in list(self._sinks.items()):
            if name in self._sinks:
                yield name, sink

    def _drop(self, name: str, error: BaseException) -> None:
        """Close a sink that failed, do without it, and report it to the others."""
        log_traceback(error)
        sink = self._sinks.pop(name)
        with suppress(Exception, SystemExit):  # that it failed is told already
            sink.close()
        self._report(name, "failed and is off", error)

    def close(self) -> None:
        """Close all sinks, mypt's own last, which report those that fail."""
        while self._sinks:
            name, sink = self._sinks.popitem()
            try:
                sink.close()
            except (Exception, SystemExit) as error:  # the run is over: close the rest
                log_traceback(error)
                self._report(name, "did not close", error)

    def _report(self, name: str, what: str, error: BaseException) -> None:
        message, origin = f"log sink {name} {what}: {summarize_error(error)}", ""
        source = self._origins.get(name)
        if source is not None and not source.is_built_in:
            origin = f"; it is of {source}: update that, or disable it: {disable_hint(source.name)}"
        self.emit(Notice(message=message + origin))


def check_state(state: object) -> Mapping[str, Any]:
    """Return a copy of the JSON object that a sink wants to keep.

    Raises:
        TypeError: It holds something that JSON has not.
        ValueError: It is none, cannot be written as UTF-8, or is too large.
    """
    text = json.dumps(state, allow_nan=False, ensure_ascii=False).encode()
    copy = json.loads(text)
    if not isinstance(copy, dict) or copy != state:
        message = "`state` is not a JSON object"
        raise ValueError(message)
    if len(text) > MOST_STATE_BYTES:
        message = f"`state` has {len(text)} bytes, more than {MOST_STATE_BYTES}"
        raise ValueError(message)
    return copy


def open_sinks(
    run: RunInfo,
    plugins: Plugins,
    wanted: Mapping[str, Any],
    states: Mapping[str, Any] | None = None,
) -> EventDispatcher:
    """Build the sinks that a run names, and the default ones.

    One that cannot be built or is not installed is reported to the others: a log is no reason
    not to train.

    Args:
        run: The run.
        plugins: Where sinks are looked up.
        wanted: `log_sinks` of the training config.
        states: What the sinks of the run had to keep when it was saved last, by name.

    Raises:
        ConfigError: Options do not fit their schema.
    """
    built: dict[str, LogSink] = {}
    failed: dict[str, Exception] = {}
    for name, options in select_options(SINKS, wanted, plugins.sinks).items():
        try:
            known = (states or {}).get(name, {})
            sink = plugins.sinks[name].build(evolve(run, options=options, state=known))
        except Exception as error:
            source = plugins.source_of("mypt_log_sinks", name)
            if source is None or source.is_built_in:
                raise
            log_traceback(error)
            failed[name] = error
        else:
            built |= {} if sink is None else {name: sink}
    found = {name: plugins.source_of("mypt_log_sinks", name) for name in built}
    origins = {name: source for name, source in found.items() if source is not None}
    dispatcher = EventDispatcher(built, states, origins)
    for name in wanted:
        if name not in plugins.sinks:
            near = suggestion(name, plugins.sinks)
            dispatcher.emit(Notice(message=f"there is no log sink {name} installed{near}"))
    for name, reason in failed.items():
        said = one_line(str(reason))
        dispatcher.emit(Notice(message=f"log sink {name} cannot be built and is off: {said}"))
    return dispatcher
