"""Registers the optimizers, schedules, gold guards, log sinks and logit processors of mypt."""

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
from mypt.engine.inference.processors.offered import list_processors
from mypt.engine.schedules.built_in import (
    CONSTANT,
    COSINE_MIN_LR_FRACTION,
    LINEAR,
    WSD,
    WSD_OPTIONS,
    build_constant,
    build_cosine,
    build_linear,
    build_wsd,
    find_decay_step,
)
from mypt.format.optimizers import adafactor, adamw, muon, sgd
from mypt.format.rules.plugin_settings import COSINE
from mypt.plugins import (
    GuardFactory,
    LogitProcessorFactory,
    LogSink,
    OptimizerFactory,
    RunInfo,
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
    """Offer AdamW, whose options are fields of the training config, and others."""
    offered = (
        (adamw.NAME, _build_adamw, adamw.ADAMW, NO_OPTIONS),
        (muon.NAME, _build_muon, muon.MUON, muon.OPTIONS),
        (adafactor.NAME, _build_adafactor, adafactor.ADAFACTOR, adafactor.OPTIONS),
        (sgd.NAME, _build_sgd, sgd.SGD, sgd.OPTIONS),
    )
    return [
        OptimizerFactory(name, build, kept.state, settings=kept.settings, options=options)
        for name, build, kept, options in offered
    ]


@hookimpl
def mypt_schedules() -> list[ScheduleFactory]:
    """Offer constant, cosine, linear and wsd."""
    return [
        ScheduleFactory(CONSTANT, build_constant, options=NO_OPTIONS),
        ScheduleFactory(
            COSINE, build_cosine, options=NO_OPTIONS, min_lr_fraction=COSINE_MIN_LR_FRACTION
        ),
        ScheduleFactory(LINEAR, build_linear, options=NO_OPTIONS),
        ScheduleFactory(WSD, build_wsd, options=WSD_OPTIONS, decay_step=find_decay_step),
    ]


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


@hookimpl
def mypt_logit_processors() -> list[LogitProcessorFactory]:
    """Offer what biases, bans and constrains tokens."""
    return list_processors()


def _build_adamw(parameters: Mapping[str, Parameter], training: TrainingConfig) -> Optimizer:
    from mypt.engine.optimizers.adamw import build_adamw

    return build_adamw(parameters, training)


def _build_muon(parameters: Mapping[str, Parameter], training: TrainingConfig) -> Optimizer:
    from mypt.engine.optimizers.muon import build_muon

    return build_muon(parameters, training)


def _build_adafactor(parameters: Mapping[str, Parameter], training: TrainingConfig) -> Optimizer:
    from mypt.engine.optimizers.adafactor import build_adafactor

    return build_adafactor(parameters, training)


def _build_sgd(parameters: Mapping[str, Parameter], training: TrainingConfig) -> Optimizer:
    from mypt.engine.optimizers.sgd import build_sgd

    return build_sgd(parameters, training)


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
