"""A log sink that writes event files for TensorBoard."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.scalar.metadata import create_summary_metadata as create_scalar_metadata
from tensorboard.plugins.text.metadata import create_summary_metadata as create_text_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LOSS, _EVAL = "_loss", "eval_"
_OF_A_STEP = {
    "train_loss": "loss",
    "lr": "learning_rate",
    "grad_norm": "grad_norm",
    "tokens_per_sec": "tokens_per_sec",
    "mfu": "mfu",
    "memory_bytes": "memory_bytes",
}
_OTHERS = {"lr": "learning_rate", "tokens_processed": "tokens_processed"}


class TensorBoardSink:
    """Writes the figures of steps, evaluations, saves and gold models, and what the run is."""

    def __init__(self, folder: Path, *, done: int = 0) -> None:
        """Prepare to write event files; the file is created with the first event to write.

        Args:
            folder: The folder to write to.
            done: The step that this run begins from; later steps in the files that are already in
                the folder are hidden.
        """
        self._folder = folder
        self._done = done
        self._writer: EventFileWriter | None = None
        self._status = api_pb2.STATUS_SUCCESS

    def emit(self, event: Mapping[str, Any]) -> None:
        """Receive one event."""
        handle = getattr(self, f"_write_{event['event']}", None)
        if handle is not None:
            handle(event)

    def state(self) -> Mapping[str, Any]:
        """Write to disk what was emitted; nothing is needed when the run goes on."""
        if self._writer is not None:
            self._writer.flush()
        return {}

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            ended = plugin_data_pb2.SessionEndInfo(status=self._status, end_time_secs=time.time())
            tag = metadata.SESSION_END_INFO_TAG
            self._write(time.time(), self._done, _make_session(tag, session_end_info=ended))
            self._writer.close()

    def _write_training_start(self, event: Mapping[str, Any]) -> None:
        about = {**event["config"], **event["model"], "environment": event.get("environment")}
        started = plugin_data_pb2.SessionStartInfo(start_time_secs=_second_of(event))
        for name, value in event["config"].items():
            _set_hparam(started.hparams[name], value)
        session = _make_session(metadata.SESSION_START_INFO_TAG, session_start_info=started)
        self._write(_second_of(event), self._done, session)
        self._write_text(event, self._done, "run", _to_table(about))

    def _write_step(self, event: Mapping[str, Any]) -> None:
        self._write_scalars(event, {f"step/{tag}": event[name] for name, tag in _OF_A_STEP.items()})

    def _write_eval(self, event: Mapping[str, Any]) -> None:
        self._write_scalars(event, _collect_figures(event))

    def _write_gold_checkpoint(self, event: Mapping[str, Any]) -> None:
        self._write_scalars(event, {"loss/gold": event["val_loss"]})

    def _write_saved(self, event: Mapping[str, Any]) -> None:
        sizes = {"save/bytes": event["size_bytes"], "save/seconds": event["save_duration_s"]}
        self._write_scalars(event, sizes)

    def _write_failed(self, event: Mapping[str, Any]) -> None:
        self._status = api_pb2.STATUS_FAILURE
        self._write_text(event, event["iter"], "failed", f"{event['error']}: {event['reason']}")

    def _write_scalars(self, event: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        values = [
            Summary.Value(
                tag=tag, tensor=make_tensor_proto(value, dtype="float32"), metadata=_SCALAR
            )
            for tag, value in figures.items()
            if value is not None  # not known, or not finite
        ]
        for value in values:
            self._write(_second_of(event), event["iter"], value)

    def _write_text(self, event: Mapping[str, Any], step: int, tag: str, text: str) -> None:
        value = Summary.Value(tag=tag, tensor=make_tensor_proto([text]), metadata=_TEXT)
        self._write(_second_of(event), step, value)

    def _write(self, second: float, step: int, value: Summary.Value) -> None:
        summary = Summary(value=[value])
        self._open_writer().add_event(Event(wall_time=second, step=step, summary=summary))

    def _open_writer(self) -> EventFileWriter:
        if self._writer is None:
            self._writer = EventFileWriter(str(self._folder))
            # At each start but the first, TensorBoard drops earlier records of later steps.
            begin = SessionLog(status=SessionLog.START)
            first = self._done + 1
            self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=begin))
        return self._writer


_SCALAR = create_scalar_metadata(display_name="", description="")
_TEXT = create_text_metadata(display_name="", description="")


def _second_of(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def _make_session(tag: str, **info: Any) -> Summary.Value:
    """Return what the page of hyperparameters reads of a run."""
    data = plugin_data_pb2.HParamsPluginData(**info)
    return Summary.Value(
        tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )


def _set_hparam(place: Any, value: object) -> None:
    """Set a hyperparameter: a bool, a number, or else a text."""
    if isinstance(value, bool):
        place.bool_value = value
    elif isinstance(value, int | float):
        place.number_value = value
    else:
        place.string_value = value if isinstance(value, str) else json.dumps(value)


def _to_table(settings: Mapping[str, Any]) -> str:
    """Return settings as a table of Markdown, which TensorBoard shows."""
    rows = [f"| {name} | `{json.dumps(value)}` |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])


def _collect_figures(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an evaluation by tag; None for a loss that is not finite."""
    losses = {
        f"loss/{name.removesuffix(_LOSS)}": event[name] for name in ("train_loss", "val_loss")
    }
    sets = {
        f"loss/{name.removeprefix(_EVAL)}": value
        for name, value in event.items()
        if name.startswith(_EVAL) and name != "eval_duration_s"
    }
    others = {tag: event[name] for name, tag in _OTHERS.items()}
    return {**losses, **sets, **others}
