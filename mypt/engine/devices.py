"""Which device to compute on, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from mypt.format.documents import TrainingConfig

AMP_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(wanted: str | None = None) -> torch.device:
    """Take the device that was asked for, or the fastest one there is: CUDA, MPS, CPU.

    Raises:
        ConfigError: There is no such device here.
    """
    if wanted is None:
        return torch.device(_best())
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise _no_device(wanted, "is not a device") from error
    if not is_available(wanted):
        raise _no_device(wanted, "is not available on this machine")
    return device


def is_available(name: str) -> bool:
    """Tell whether this machine can compute on the device `name`."""
    kind = name.split(":")[0]
    return {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }.get(kind, False)


def autocast(
    device: torch.device, training: TrainingConfig
) -> AbstractContextManager[object, bool | None]:
    """Give the context of the forward pass: mixed precision on CUDA, nothing elsewhere."""
    if device.type != "cuda" or not training.use_amp:
        return nullcontext()
    return torch.autocast("cuda", dtype=AMP_DTYPES[training.amp_dtype])


def _best() -> str:
    return next(name for name in ("cuda", "mps", "cpu") if is_available(name))


def _no_device(wanted: str, what: str) -> ConfigError:
    fix = f"leave --device out (here that means {_best()}) or name another one"
    return ConfigError(Problem("", "--device", f"`{wanted}` {what}", fix, kind="device"))
