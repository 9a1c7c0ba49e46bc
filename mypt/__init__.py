"""Train, keep and hand on small GPTs.

The names below are imported on first use, so that a script which only inspects a checkpoint
never pays for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mypt.format.version import MYPT_VERSION as __version__

if TYPE_CHECKING:
    from mypt.api.checkpoint_manager import CheckpointManager
    from mypt.api.gpt import GPT
    from mypt.api.info import get_model_info
    from mypt.api.load import load
    from mypt.data.batches.loader import GPTDataLoader
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.format.errors import MyptError

_HOME = {
    "GPT": "mypt.api.gpt",
    "CheckpointManager": "mypt.api.checkpoint_manager",
    "GPTConfig": "mypt.format.documents.config",
    "GPTDataLoader": "mypt.data.batches.loader",
    "MyptError": "mypt.format.errors",
    "TrainingConfig": "mypt.format.documents.training",
    "get_model_info": "mypt.api.info",
    "load": "mypt.api.load",
}

__all__ = [
    "GPT",
    "CheckpointManager",
    "GPTConfig",
    "GPTDataLoader",
    "MyptError",
    "TrainingConfig",
    "__version__",
    "get_model_info",
    "load",
]


def __getattr__(name: str) -> object:
    """Import a public name where it is first used."""
    if name not in _HOME:
        message = f"module 'mypt' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
