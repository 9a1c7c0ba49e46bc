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
# What torch calls the instructions of CPUs that multiply 16 bits, on x86 and on ARM.
_INSTRUCTIONS = {
    "bf16": ("amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16"),
    "fp16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
}


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


def multiplies_in(dtype: str, device: torch.device) -> bool:
    """Return whether a device has instructions for products of 16 bits; a GPU is taken to have.

    Args:
        dtype: A key of `AMP_DTYPES`.
        device: Where the products would be computed.
    """
    ask = getattr(torch.cpu, "get_capabilities", None)  # torch 2.10 cannot tell
    if device.type != "cpu" or ask is None:
        return True
    has = ask()
    return any(has.get(name) for name in _INSTRUCTIONS[dtype])


def autocast(
    device: torch.device, training: TrainingConfig
) -> AbstractContextManager[object, bool | None]:
    """Return the context of the forward pass: mixed precision on CUDA, nothing elsewhere."""
    dtype = autocast_dtype(device, training)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def autocast_dtype(device: torch.device, training: TrainingConfig) -> torch.dtype | None:
    """Return the dtype in which matrices are multiplied; None for that of the weights."""
    uses_amp = device.type == "cuda" and training.use_amp
    return AMP_DTYPES[training.amp_dtype] if uses_amp else None


def _fastest_device() -> str:
    return next(name for name in ("cuda", "mps", "cpu") if is_available(name))


def _not_available(wanted: str) -> ConfigError:
    what = f"`{wanted}` is not available here"
    fix = f"omit it or use {_fastest_device()}"
    return ConfigError(Problem("", "device", what, fix, kind="device"))
