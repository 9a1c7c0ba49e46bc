"""Everything that a plugin author imports."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, DataError, FormatError, MyptError, PluginError, Problem
from mypt.format.layout import linear_head, token_embedding
from mypt.format.optimizers.declaration import ParameterInfo, StateNumber, StateTensor
from mypt.format.optimizers.parameter_rules import decays
from mypt.format.readers.contract import FileForm, ReaderFactory
from mypt.format.readers.options import missing_option
from mypt.format.readers.shared.peek import peek_dict
from mypt.format.readers.shared.plain_pickle import read_plain_pickle
from mypt.format.rules.plugin_settings import SettingsOrigin
from mypt.format.tensors.info import TensorInfo
from mypt.plugins.contracts.command import CommandFactory
from mypt.plugins.contracts.data_source import DataSourceFactory, Document, SourceFile
from mypt.plugins.contracts.exporter import ExporterFactory, ModelToExport
from mypt.plugins.contracts.guard import Evaluation, GoldGuard, GuardFactory, Verdict
from mypt.plugins.contracts.part import PartFactory
from mypt.plugins.contracts.sink import LogSink, ResumableSink, RunInfo, SinkFactory
from mypt.plugins.contracts.tokenizer import (
    DivisibleTokenizer,
    ExportableTokenizer,
    GuardedTokenizer,
    Tokenizer,
    TokenizerFactory,
)
from mypt.plugins.contracts.training import (
    LossFactory,
    OptimizerFactory,
    Schedule,
    ScheduleFactory,
    TokenLoss,
)
from mypt.plugins.decoding.logit_processors import (
    BeginText,
    EndingLogitProcessor,
    LogitProcessor,
    LogitProcessorFactory,
)
from mypt.plugins.hookspecs import hookimpl
from mypt.plugins.parts import (
    AttentionCache,
    AttentionPart,
    BlockPart,
    Context,
    Contexts,
    EmbeddingPart,
    HeadPart,
    MakeLinear,
    Placement,
    PointwisePart,
    PositionPart,
    StackPart,
)

if TYPE_CHECKING:
    from mypt.plugins.nn.attention import attend, attend_once
    from mypt.plugins.nn.cache import make_layer_cache
    from mypt.plugins.nn.embedding import TokenEmbedding
    from mypt.plugins.nn.head import LinearHead
    from mypt.plugins.nn.loss import output_loss
    from mypt.plugins.nn.one_token import make_one_token
    from mypt.plugins.nn.token_loss import CrossEntropy

# What parts are made with; imported on first use, since it imports torch.
_HOME = {
    "CrossEntropy": "mypt.plugins.nn.token_loss",
    "LinearHead": "mypt.plugins.nn.head",
    "TokenEmbedding": "mypt.plugins.nn.embedding",
    "attend": "mypt.plugins.nn.attention",
    "attend_once": "mypt.plugins.nn.attention",
    "make_layer_cache": "mypt.plugins.nn.cache",
    "make_one_token": "mypt.plugins.nn.one_token",
    "output_loss": "mypt.plugins.nn.loss",
}

__all__ = [
    "AttentionCache",
    "AttentionPart",
    "BeginText",
    "BlockPart",
    "Checkpoint",
    "CommandFactory",
    "ConfigError",
    "Context",
    "Contexts",
    "CrossEntropy",
    "DataError",
    "DataSourceFactory",
    "DivisibleTokenizer",
    "Document",
    "EmbeddingPart",
    "EndingLogitProcessor",
    "Evaluation",
    "ExportableTokenizer",
    "ExporterFactory",
    "FileForm",
    "FormatError",
    "GPTConfig",
    "GoldGuard",
    "GuardFactory",
    "GuardedTokenizer",
    "HeadPart",
    "LinearHead",
    "LogSink",
    "LogitProcessor",
    "LogitProcessorFactory",
    "LossFactory",
    "MakeLinear",
    "ModelToExport",
    "MyptError",
    "OptimizerFactory",
    "ParameterInfo",
    "PartFactory",
    "Placement",
    "PluginError",
    "PointwisePart",
    "PositionPart",
    "Problem",
    "ReaderFactory",
    "ResumableSink",
    "RunInfo",
    "Schedule",
    "ScheduleFactory",
    "SettingsOrigin",
    "SinkFactory",
    "SourceFile",
    "StackPart",
    "StateNumber",
    "StateTensor",
    "TensorInfo",
    "TokenEmbedding",
    "TokenLoss",
    "Tokenizer",
    "TokenizerFactory",
    "TrainingConfig",
    "Verdict",
    "attend",
    "attend_once",
    "decays",
    "hookimpl",
    "linear_head",
    "make_layer_cache",
    "make_one_token",
    "missing_option",
    "output_loss",
    "peek_dict",
    "read_plain_pickle",
    "token_embedding",
]


def __getattr__(name: str) -> object:
    """Import a name that needs torch on first use."""
    if name not in _HOME:
        message = f"module 'mypt.plugins' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
