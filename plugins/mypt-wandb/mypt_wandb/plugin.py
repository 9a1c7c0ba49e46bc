"""Register the log sink with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import LogSink, RunInfo, SinkFactory, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT = {"type": "string", "minLength": 1}
OPTIONS: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "project": {**_TEXT, "description": "Project of the run.", "default": "mypt"},
        "entity": {**_TEXT, "description": "User or team that the project belongs to."},
        "name": {**_TEXT, "description": "Name of the run; by default that of the model."},
        "group": {**_TEXT, "description": "Group of the run."},
        "notes": {**_TEXT, "description": "Remark on the run."},
        "tags": {"type": "array", "items": _TEXT, "description": "Tags of the run."},
        "mode": {
            "enum": ["online", "offline", "disabled"],
            "description": "Where the run goes; by default what WANDB_MODE says, or online.",
        },
    },
    "additionalProperties": False,
}


@hookimpl
def mypt_log_sinks() -> list[SinkFactory]:
    """Offer the sink `wandb`."""
    return [SinkFactory("wandb", build=_build, options=OPTIONS)]


def _build(run: RunInfo) -> LogSink:
    from mypt_wandb.sink import WandbSink

    return WandbSink(run)
