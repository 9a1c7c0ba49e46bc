"""Register the log sink with mypt."""

from __future__ import annotations

from mypt.plugins import LogSink, RunInfo, SinkFactory, hookimpl

OPTIONS = {"type": "object", "additionalProperties": False}


@hookimpl
def mypt_log_sinks() -> list[SinkFactory]:
    """Offer the sink `tensorboard`, for runs that keep a log."""
    return [SinkFactory("tensorboard", build=_build, options=OPTIONS)]


def _build(run: RunInfo) -> LogSink | None:
    if run.log_file is None:
        return None
    from mypt_tensorboard.sink import TensorBoardSink

    folder = run.log_file.parent / "tensorboard" / run.log_file.stem
    if run.log_file.stem != f"{run.model_name}_eval":  # other models may log to that file too
        folder /= run.model_name
    return TensorBoardSink(folder, done=run.start_step if run.resumed else 0)
