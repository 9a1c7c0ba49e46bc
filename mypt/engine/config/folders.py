"""The folders in which the names of models are looked up, below the current one."""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = Path("checkpoints")
LOGS = Path("logs") / "train"
