"""Which device to compute on, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from mypt.format.documents.training import TrainingConfig

AUTO = "auto"
AMP_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(wanted: str | torch.device | None = None) -> torch.device:
    """Return the requested device; for None or "auto" the fastest available: CUDA, MPS, CPU.

    Raises:
        ConfigError: The device is not available.
    """
    if wanted is None or wanted == AUTO:
        return torch.device(_fastest_device())
    if not is_available(str(wanted)):
        raise _not_available(str(wanted))
    return torch.device(wanted)


def is_available(name: str) -> bool:
    """Return whether this machine can compute on the device `name`."""
    try:
        device = torch.device(name)
    except RuntimeError:
        return False
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    return (device.index or 0) < there.get(device.type, 0)


def autocast(
    device: torch.device, training: TrainingConfig
) -> AbstractContextManager[object, bool | None]:
    """Return the context of the forward pass: mixed precision on CUDA, nothing elsewhere."""
    if device.type != "cuda" or not training.use_amp:
        return nullcontext()
    return torch.autocast("cuda", dtype=AMP_DTYPES[training.amp_dtype])


def _fastest_device() -> str:
    return next(name for name in ("cuda", "mps", "cpu") if is_available(name))


def _not_available(wanted: str) -> ConfigError:
    what = f"`{wanted}` is not available here"
    fix = f"omit it or use {_fastest_device()}"
    return ConfigError(Problem("", "device", what, fix, kind="device"))
