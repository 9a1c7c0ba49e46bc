"""Everything that a plugin author imports."""

from __future__ import annotations

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import ConfigError, DataError, FormatError, MyptError, PluginError, Problem
from mypt.format.readers.contract import ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.tensors.info import TensorInfo
from mypt.plugins.contracts import (
    BeginningTokenizer,
    DivisibleTokenizer,
    Evaluation,
    ExportableTokenizer,
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
from mypt.plugins.parts import (
    AttentionCache,
    AttentionPart,
    BlockPart,
    Context,
    MakeLinear,
    Placement,
    PointwisePart,
    PositionPart,
)

__all__ = [
    "AttentionCache",
    "AttentionPart",
    "BeginningTokenizer",
    "BlockPart",
    "Checkpoint",
    "ConfigError",
    "Context",
    "DataError",
    "DivisibleTokenizer",
    "Evaluation",
    "ExportableTokenizer",
    "FormatError",
    "GPTConfig",
    "GoldGuard",
    "GuardFactory",
    "LogSink",
    "MakeLinear",
    "MyptError",
    "PartFactory",
    "Placement",
    "PluginError",
    "PointwisePart",
    "PositionPart",
    "Problem",
    "ReaderFactory",
    "RunInfo",
    "SinkFactory",
    "TensorInfo",
    "Tokenizer",
    "TokenizerFactory",
    "Verdict",
    "hookimpl",
    "missing_option",
]
