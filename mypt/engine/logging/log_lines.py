"""The lines of a log: each parsed, and the model and run that it belongs to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.engine.logging.events import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN_OF_EVENT = b'{"event"'


@frozen
class LogOwner:
    """The model and the run that log a line.

    Attributes:
        model_name: Name of the model.
        run_id: As in `training_state.json`; None where the run has no identity.
    """

    model_name: str
    run_id: str | None

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields by which each line of the log names them; none without a `run_id`."""
        if self.run_id is None:
            return {}
        return {"model_name": self.model_name, "run_id": self.run_id}


def owner_of(event: Mapping[str, Any]) -> LogOwner | None:
    """Return whose line it is; None for one of MyPT or of an early mypt, which do not say it."""
    name, run_id = event.get("model_name"), event.get("run_id")
    if not isinstance(name, str) or not isinstance(run_id, str):
        return None
    return LogOwner(name, run_id)


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Parse a line of a log; None where it is not a JSON object.

    A partial line that a killed run of MyPT left in front of an event is skipped.
    """
    for text in (line, line[line.rfind(BEGIN_OF_EVENT) :]):
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return event if isinstance(event, dict) else None
    return None


def is_event(document: Mapping[str, Any]) -> bool:
    """Return whether mypt or MyPT may have logged this object, a later version included."""
    if "event" not in document:  # an evaluation, as early releases of MyPT logged it
        return {"iter", "val_loss"} <= document.keys()
    return document["event"] in KINDS or owner_of(document) is not None
