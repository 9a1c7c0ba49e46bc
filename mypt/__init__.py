"""Train, store and share small GPTs, with checkpoints that anyone can read and verify.

The names below are imported on first use, so that a script that only inspects a
checkpoint does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mypt.format.version import MYPT_VERSION as __version__

if TYPE_CHECKING:
    from mypt.api.checkpoint_manager import CheckpointManager
    from mypt.api.doctor import check_model
    from mypt.api.export import export_model
    from mypt.api.gpt import GPT
    from mypt.api.info import get_model_info
    from mypt.api.listing import list_checkpoints
    from mypt.api.load import load
    from mypt.chat.message import Message
    from mypt.chat.template import ChatTemplate, EncodedChat
    from mypt.data.batches.batch import Batch
    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.callbacks import EvaluationEvent, StepEvent
    from mypt.engine.evaluation.divergence import DivergedError
    from mypt.engine.inference.answer import Answer
    from mypt.engine.inference.continuation import Continuation
    from mypt.engine.inference.continuation_scoring import ContinuationScore
    from mypt.engine.inference.conversation import Chat
    from mypt.engine.inference.scoring import Score
    from mypt.engine.inference.text import TextStream
    from mypt.engine.runtime.out_of_memory import OutOfMemoryError
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.format.errors import (
        ConfigError,
        DataError,
        FormatError,
        LockedError,
        MyptError,
        PluginError,
        Problem,
        SaveError,
        UsageError,
    )
    from mypt.model.decoding.sampling_options import Sampling
    from mypt.plugins.manager import Plugins, load_plugins

_HOME = {
    "Answer": "mypt.engine.inference.answer",
    "Batch": "mypt.data.batches.batch",
    "Chat": "mypt.engine.inference.conversation",
    "ChatTemplate": "mypt.chat.template",
    "check_model": "mypt.api.doctor",
    "CheckpointManager": "mypt.api.checkpoint_manager",
    "ConfigError": "mypt.format.errors",
    "Continuation": "mypt.engine.inference.continuation",
    "ContinuationScore": "mypt.engine.inference.continuation_scoring",
    "DataError": "mypt.format.errors",
    "DivergedError": "mypt.engine.evaluation.divergence",
    "EncodedChat": "mypt.chat.template",
    "EvaluationEvent": "mypt.engine.callbacks",
    "export_model": "mypt.api.export",
    "FormatError": "mypt.format.errors",
    "get_model_info": "mypt.api.info",
    "GPT": "mypt.api.gpt",
    "GPTConfig": "mypt.format.documents.config",
    "GPTDataLoader": "mypt.data.batches.loader",
    "list_checkpoints": "mypt.api.listing",
    "load": "mypt.api.load",
    "load_plugins": "mypt.plugins.manager",
    "LockedError": "mypt.format.errors",
    "Message": "mypt.chat.message",
    "MyptError": "mypt.format.errors",
    "OutOfMemoryError": "mypt.engine.runtime.out_of_memory",
    "PluginError": "mypt.format.errors",
    "Plugins": "mypt.plugins.manager",
    "Problem": "mypt.format.errors",
    "Sampling": "mypt.model.decoding.sampling_options",
    "SaveError": "mypt.format.errors",
    "Score": "mypt.engine.inference.scoring",
    "StepEvent": "mypt.engine.callbacks",
    "TextStream": "mypt.engine.inference.text",
    "TrainingConfig": "mypt.format.documents.training",
    "TrainingState": "mypt.format.documents.training",
    "UsageError": "mypt.format.errors",
}

__all__ = [
    "GPT",
    "Answer",
    "Batch",
    "Chat",
    "ChatTemplate",
    "CheckpointManager",
    "ConfigError",
    "Continuation",
    "ContinuationScore",
    "DataError",
    "DivergedError",
    "EncodedChat",
    "EvaluationEvent",
    "FormatError",
    "GPTConfig",
    "GPTDataLoader",
    "LockedError",
    "Message",
    "MyptError",
    "OutOfMemoryError",
    "PluginError",
    "Plugins",
    "Problem",
    "Sampling",
    "SaveError",
    "Score",
    "StepEvent",
    "TextStream",
    "TrainingConfig",
    "TrainingState",
    "UsageError",
    "__version__",
    "check_model",
    "export_model",
    "get_model_info",
    "list_checkpoints",
    "load",
    "load_plugins",
]


if not TYPE_CHECKING:  # else type checkers take any misspelt name for one of these

    def __getattr__(name: str) -> object:
        """Import a public name on first use."""
        if name not in _HOME:
            message = f"module 'mypt' has no attribute {name!r}"
            raise AttributeError(message)
        from mypt.gc_pause import pause_gc

        with pause_gc():
            value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
