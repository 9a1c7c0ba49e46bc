"""A log sink that writes event files for TensorBoard."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LOSS, _EVAL = "_loss", "eval_"
_OTHERS = {"lr": "learning_rate", "tokens_processed": "tokens_processed"}


class TensorBoardSink:
    """Writes the figures of each evaluation, and the loss of each gold model."""

    def __init__(self, folder: Path, *, done: int = 0) -> None:
        """Prepare to write event files; the file is created with the first figures.

        Args:
            folder: The folder to write to.
            done: The last step that was evaluated before this run; later steps in the files that
                are already in the folder are hidden.
        """
        self._folder = folder
        self._done = done
        self._writer: EventFileWriter | None = None

    def emit(self, event: Mapping[str, Any]) -> None:
        """Receive one event."""
        if event["event"] == "eval":
            self._write_scalars(event, _collect_figures(event))
        elif event["event"] == "gold_checkpoint":
            self._write_scalars(event, {"loss/gold": event["val_loss"]})

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _write_scalars(self, event: Mapping[str, Any], figures: Mapping[str, float]) -> None:
        told = datetime.fromisoformat(event["timestamp"]).timestamp()
        writer = self._open_writer()
        for tag, value in figures.items():
            summary = Summary.Value(
                tag=tag, tensor=make_tensor_proto(value, dtype="float32"), metadata=_SCALAR
            )
            writer.add_event(
                Event(wall_time=told, step=event["iter"], summary=Summary(value=[summary]))
            )
        writer.flush()

    def _open_writer(self) -> EventFileWriter:
        if self._writer is None:
            self._writer = EventFileWriter(str(self._folder))
            # At each start but the first, TensorBoard drops earlier records of later steps.
            begin = SessionLog(status=SessionLog.START)
            first = self._done + 1
            self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=begin))
        return self._writer


_SCALAR = create_summary_metadata(display_name="", description="")


def _collect_figures(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an evaluation by tag, without losses that are not finite."""
    losses = {
        f"loss/{name.removesuffix(_LOSS)}": event[name] for name in ("train_loss", "val_loss")
    }
    sets = {
        f"loss/{name.removeprefix(_EVAL)}": value
        for name, value in event.items()
        if name.startswith(_EVAL) and name != "eval_duration_s"
    }
    others = {tag: event[name] for name, tag in _OTHERS.items()}
    return {tag: value for tag, value in {**losses, **sets, **others}.items() if value is not None}
