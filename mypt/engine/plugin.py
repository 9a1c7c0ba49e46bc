"""Registers the optimizer, the gold guards and the log sinks that come with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.evaluation.guards import (
    OVERFIT_OPTIONS,
    REGRESSION_OPTIONS,
    TREND_OPTIONS,
    overfit_guard,
    regression_guard,
    trend_guard,
)
from mypt.format.optimizers.adamw import ADAMW
from mypt.format.optimizers.adamw import NAME as ADAMW_NAME
from mypt.format.rules.plugin_settings import COSINE
from mypt.plugins import (
    GuardFactory,
    LogSink,
    OptimizerFactory,
    RunInfo,
    Schedule,
    ScheduleFactory,
    SinkFactory,
    TrainingConfig,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.nn import Parameter
    from torch.optim import Optimizer

NO_OPTIONS = {"type": "object", "additionalProperties": False}


@hookimpl
def mypt_optimizers() -> list[OptimizerFactory]:
    """Offer AdamW, whose options are fields of the training config."""
    return [
        OptimizerFactory(
            ADAMW_NAME,
            _build_adamw,
            ADAMW.state,
            settings=ADAMW.settings,
            options=NO_OPTIONS,
        )
    ]


@hookimpl
def mypt_schedules() -> list[ScheduleFactory]:
    """Offer the half cosine."""
    return [ScheduleFactory(COSINE, _build_cosine, options=NO_OPTIONS)]


@hookimpl
def mypt_gold_guards() -> list[GuardFactory]:
    """Offer the three guards of MyPT."""
    return [
        GuardFactory("overfit", overfit_guard, options=OVERFIT_OPTIONS, default=True),
        GuardFactory("trend", trend_guard, options=TREND_OPTIONS, default=True),
        GuardFactory("eval_regression", regression_guard, options=REGRESSION_OPTIONS, default=True),
    ]


@hookimpl
def mypt_log_sinks() -> list[SinkFactory]:
    """Offer the console and the JSONL log."""
    return [
        SinkFactory("console", _build_console, options=NO_OPTIONS, default=True),
        SinkFactory("jsonl", _build_jsonl, options=NO_OPTIONS, default=True),
    ]


def _build_adamw(parameters: Mapping[str, Parameter], training: TrainingConfig) -> Optimizer:
    from mypt.engine.optimizers.adamw import build_adamw

    return build_adamw(parameters, training)


def _build_cosine(training: TrainingConfig) -> Schedule:
    from attrs import evolve

    from mypt.engine.training.lr_schedule import learning_rate_at

    unwarmed = evolve(training, learning_rate=1.0, warmup_iters=0.0)
    return lambda step: learning_rate_at(step, unwarmed)


def _build_console(run: RunInfo) -> LogSink | None:
    if run.quiet:
        return None
    from rich.console import Console

    from mypt.engine.logging.console import ConsoleSink

    return ConsoleSink(Console())


def _build_jsonl(run: RunInfo) -> LogSink | None:
    if run.log_file is None:
        return None
    from mypt.engine.logging.jsonl import JsonlSink
    from mypt.engine.logging.log_file import find_end
    from mypt.engine.logging.log_lines import LogOwner

    owner = LogOwner(run.model_name, run.run_id)
    return JsonlSink(run.log_file, owner, find_end(run))
