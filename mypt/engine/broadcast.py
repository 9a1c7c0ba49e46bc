"""Hand the events of a run to every log sink; a broken one never stops the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.engine import events
from mypt.format.errors import SaveError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts import LogSink, RunInfo
    from mypt.plugins.manager import Plugins


class Broadcast:
    """The sinks of one run.

    A sink that fails is reported to the others once and then left out.
    """

    def __init__(self, sinks: Mapping[str, LogSink]) -> None:
        """Begin with the sinks, by name."""
        self._sinks = dict(sinks)

    def emit(self, event: Mapping[str, Any]) -> None:
        """Give one event to all sinks.

        Raises:
            SaveError: A sink says that the disk cannot take the log.
        """
        for name, sink in list(self._sinks.items()):
            try:
                sink.emit(event)
            except SaveError:
                raise
            except Exception as error:  # a stranger's sink must not end a training run
                del self._sinks[name]
                reason = f"{type(error).__name__}: {error}"
                self.emit(events.notice(f"log sink {name} failed and is off: {reason}"))

    def close(self) -> None:
        """Close all sinks."""
        for name, sink in self._sinks.items():
            try:
                sink.close()
            except Exception as error:  # the run is over: say so and close the rest
                remaining = {other: s for other, s in self._sinks.items() if other != name}
                Broadcast(remaining).emit(events.notice(f"log sink {name} did not close: {error}"))


def open_sinks(run: RunInfo, plugins: Plugins) -> Broadcast:
    """Build every registered sink that wants to hear this run."""
    built = {name: factory.build(run) for name, factory in plugins.sinks.items()}
    return Broadcast({name: sink for name, sink in built.items() if sink is not None})
