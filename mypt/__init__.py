"""Train, keep and hand on small GPTs.

The names below are imported on first use, so that a script which only inspects a checkpoint
never pays for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mypt.format.version import MYPT_VERSION as __version__

if TYPE_CHECKING:
    from mypt.data.loader import GPTDataLoader
    from mypt.engine.checkpoints import CheckpointManager
    from mypt.engine.gpt import GPT
    from mypt.engine.info import get_model_info
    from mypt.engine.loading import load
    from mypt.format.documents import GPTConfig, TrainingConfig
    from mypt.format.errors import MyptError

_HOME = {
    "GPT": "mypt.engine.gpt",
    "CheckpointManager": "mypt.engine.checkpoints",
    "GPTConfig": "mypt.format.documents",
    "GPTDataLoader": "mypt.data.loader",
    "MyptError": "mypt.format.errors",
    "TrainingConfig": "mypt.format.documents",
    "get_model_info": "mypt.engine.info",
    "load": "mypt.engine.loading",
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
