"""Everything that a plugin author imports.

Each name is loaded on first use: a plugin, which is imported to ask what it offers, costs what its
offers are made with. One that adds a command loads no document, no other contract and no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypt.format.documents.checkpoint import Checkpoint
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.format.errors import (
        ConfigError,
        DataError,
        FormatError,
        MyptError,
        PluginError,
        Problem,
    )
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
    from mypt.plugins.nn.attention import attend, attend_once
    from mypt.plugins.nn.cache import make_layer_cache
    from mypt.plugins.nn.embedding import TokenEmbedding
    from mypt.plugins.nn.head import LinearHead
    from mypt.plugins.nn.loss import output_loss
    from mypt.plugins.nn.one_token import make_one_token
    from mypt.plugins.nn.token_loss import CrossEntropy
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

_HOME = {
    "AttentionCache": "mypt.plugins.parts",
    "AttentionPart": "mypt.plugins.parts",
    "BeginText": "mypt.plugins.decoding.logit_processors",
    "BlockPart": "mypt.plugins.parts",
    "Checkpoint": "mypt.format.documents.checkpoint",
    "CommandFactory": "mypt.plugins.contracts.command",
    "ConfigError": "mypt.format.errors",
    "Context": "mypt.plugins.parts",
    "Contexts": "mypt.plugins.parts",
    "CrossEntropy": "mypt.plugins.nn.token_loss",
    "DataError": "mypt.format.errors",
    "DataSourceFactory": "mypt.plugins.contracts.data_source",
    "DivisibleTokenizer": "mypt.plugins.contracts.tokenizer",
    "Document": "mypt.plugins.contracts.data_source",
    "EmbeddingPart": "mypt.plugins.parts",
    "EndingLogitProcessor": "mypt.plugins.decoding.logit_processors",
    "Evaluation": "mypt.plugins.contracts.guard",
    "ExportableTokenizer": "mypt.plugins.contracts.tokenizer",
    "ExporterFactory": "mypt.plugins.contracts.exporter",
    "FileForm": "mypt.format.readers.contract",
    "FormatError": "mypt.format.errors",
    "GPTConfig": "mypt.format.documents.config",
    "GoldGuard": "mypt.plugins.contracts.guard",
    "GuardFactory": "mypt.plugins.contracts.guard",
    "GuardedTokenizer": "mypt.plugins.contracts.tokenizer",
    "HeadPart": "mypt.plugins.parts",
    "LinearHead": "mypt.plugins.nn.head",
    "LogSink": "mypt.plugins.contracts.sink",
    "LogitProcessor": "mypt.plugins.decoding.logit_processors",
    "LogitProcessorFactory": "mypt.plugins.decoding.logit_processors",
    "LossFactory": "mypt.plugins.contracts.training",
    "MakeLinear": "mypt.plugins.parts",
    "ModelToExport": "mypt.plugins.contracts.exporter",
    "MyptError": "mypt.format.errors",
    "OptimizerFactory": "mypt.plugins.contracts.training",
    "ParameterInfo": "mypt.format.optimizers.declaration",
    "PartFactory": "mypt.plugins.contracts.part",
    "Placement": "mypt.plugins.parts",
    "PluginError": "mypt.format.errors",
    "PointwisePart": "mypt.plugins.parts",
    "PositionPart": "mypt.plugins.parts",
    "Problem": "mypt.format.errors",
    "ReaderFactory": "mypt.format.readers.contract",
    "ResumableSink": "mypt.plugins.contracts.sink",
    "RunInfo": "mypt.plugins.contracts.sink",
    "Schedule": "mypt.plugins.contracts.training",
    "ScheduleFactory": "mypt.plugins.contracts.training",
    "SettingsOrigin": "mypt.format.rules.plugin_settings",
    "SinkFactory": "mypt.plugins.contracts.sink",
    "SourceFile": "mypt.plugins.contracts.data_source",
    "StackPart": "mypt.plugins.parts",
    "StateNumber": "mypt.format.optimizers.declaration",
    "StateTensor": "mypt.format.optimizers.declaration",
    "TensorInfo": "mypt.format.tensors.info",
    "TokenEmbedding": "mypt.plugins.nn.embedding",
    "TokenLoss": "mypt.plugins.contracts.training",
    "Tokenizer": "mypt.plugins.contracts.tokenizer",
    "TokenizerFactory": "mypt.plugins.contracts.tokenizer",
    "TrainingConfig": "mypt.format.documents.training",
    "Verdict": "mypt.plugins.contracts.guard",
    "attend": "mypt.plugins.nn.attention",
    "attend_once": "mypt.plugins.nn.attention",
    "decays": "mypt.format.optimizers.parameter_rules",
    "hookimpl": "mypt.plugins.hookspecs",
    "linear_head": "mypt.format.layout",
    "make_layer_cache": "mypt.plugins.nn.cache",
    "make_one_token": "mypt.plugins.nn.one_token",
    "missing_option": "mypt.format.readers.options",
    "output_loss": "mypt.plugins.nn.loss",
    "peek_dict": "mypt.format.readers.shared.peek",
    "read_plain_pickle": "mypt.format.readers.shared.plain_pickle",
    "token_embedding": "mypt.format.layout",
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


if not TYPE_CHECKING:  # else type checkers take any misspelt name for one of these

    def __getattr__(name: str) -> object:
        """Import a public name on first use."""
        if name not in _HOME:
            message = f"module 'mypt.plugins' has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
