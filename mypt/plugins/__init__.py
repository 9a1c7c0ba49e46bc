"""All that the author of a plugin imports."""

from __future__ import annotations

from mypt.format.checkpoint import Checkpoint
from mypt.format.errors import DataError, MyptError, PluginError, Problem
from mypt.format.readers.contract import ReaderFactory
from mypt.plugins.contracts import (
    Evaluation,
    GoldGuard,
    GuardFactory,
    LogSink,
    PartFactory,
    RunInfo,
    SinkFactory,
    Tokenizer,
    TokenizerFactory,
    Verdict,
)
from mypt.plugins.hookspecs import hookimpl

__all__ = [
    "Checkpoint",
    "DataError",
    "Evaluation",
    "GoldGuard",
    "GuardFactory",
    "LogSink",
    "MyptError",
    "PartFactory",
    "PluginError",
    "Problem",
    "ReaderFactory",
    "RunInfo",
    "SinkFactory",
    "Tokenizer",
    "TokenizerFactory",
    "Verdict",
    "hookimpl",
]
