"""Model FLOPs utilisation: the share of a device's peak that the model's own products take.

MFU = tokens per second x FLOPs per token / peak of all devices.

FLOPs per token = 6 N + 12 L H Q T. A multiplication and an addition are two operations, and the
backward pass takes twice as many as the forward pass. N are the parameters that a token is
multiplied with: all of the model's, of which a matrix that is tied counts once, without learned
positions and without the table of embeddings where the head has a matrix of its own. L layers
attend with H heads of size Q over T = block_size positions; the causal mask halves nothing, as in
the source. What is computed once more for activation checkpointing does not count.

Source: Chowdhery et al. 2022 (PaLM), appendix B; embeddings as nanoGPT counts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.runtime.devices import AMP_DTYPES
from mypt.format.layout import BUILT_IN, EMBEDDING, POSITIONS, SLOTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer

BF16, FP16, TF32, FP32 = "bf16", "fp16", "tf32", "fp32"


def _tensor_cores(half: float, tf32: float, fp32: float) -> dict[str, float]:
    """Return the peaks of a GPU on which bf16 is as fast as fp16, from its TFLOPS."""
    return {BF16: half * 1e12, FP16: half * 1e12, TF32: tf32 * 1e12, FP32: fp32 * 1e12}


def _volta(fp16: float, fp32: float) -> dict[str, float]:
    """Return the peaks of a GPU whose tensor cores know fp16 alone, from its TFLOPS."""
    return {FP16: fp16 * 1e12, FP32: fp32 * 1e12}


_A100 = _tensor_cores(312, 156, 19.5)
_H100_SXM = _tensor_cores(989.4, 494.7, 66.9)
_H100_NVL = _tensor_cores(835.5, 417.5, 60)
_V100_SXM, _V100_PCIE = _volta(125, 15.7), _volta(112, 14)
_MI300X = _tensor_cores(1307.4, 653.7, 163.4)

# FLOPS by the whole name that torch calls the device by, from the data sheets of its vendor: dense,
# so half of what is printed for sparse matrices. A part of a card (MIG), a card for laptops and one
# with another suffix have other peaks and other names.
PEAKS: Mapping[str, Mapping[str, float]] = {
    "NVIDIA A100-SXM4-40GB": _A100,
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA A100-PCIE-40GB": _A100,
    "NVIDIA A100 80GB PCIe": _A100,
    "NVIDIA H100 80GB HBM3": _H100_SXM,
    "NVIDIA H100 PCIe": _tensor_cores(756, 378, 51),
    "NVIDIA H100 NVL": _H100_NVL,
    "NVIDIA H200": _H100_SXM,
    "NVIDIA H200 NVL": _H100_NVL,
    "NVIDIA GH200 480GB": _H100_SXM,
    "NVIDIA B200": _tensor_cores(2250, 1125, 75),
    "NVIDIA L4": _tensor_cores(121, 60, 30.3),
    "NVIDIA L40": _tensor_cores(181, 90.5, 90.5),
    "NVIDIA L40S": _tensor_cores(362, 183, 91.6),
    "NVIDIA A10": _tensor_cores(125, 62.5, 31.2),
    "NVIDIA A30": _tensor_cores(165, 82, 10.3),
    "NVIDIA A40": _tensor_cores(149.7, 74.8, 37.4),
    "NVIDIA RTX A6000": _tensor_cores(154.8, 77.4, 38.7),
    "NVIDIA GeForce RTX 3090": _tensor_cores(71, 35.6, 35.6),
    "NVIDIA GeForce RTX 4090": _tensor_cores(165.2, 82.6, 82.6),
    "Tesla T4": _volta(65, 8.1),
    "Tesla V100-SXM2-16GB": _V100_SXM,
    "Tesla V100-SXM2-32GB": _V100_SXM,
    "Tesla V100-PCIE-16GB": _V100_PCIE,
    "Tesla V100-PCIE-32GB": _V100_PCIE,
    "AMD Instinct MI300X": _MI300X,
    "AMD Instinct MI325X": _MI300X,
}
_FACTOR = 6  # of a weight: a product forward and two backward, of two operations each


def flops_per_token(model: Transformer) -> int | None:
    """Return the operations of one token in training, forward and backward.

    Args:
        model: The model.

    Returns:
        None where the formula does not hold: parts of plugins, attention to a window, and weights
        that are not trained.
    """
    config = model.config
    if not _is_known(config) or not all(p.requires_grad for p in model.parameters()):
        return None
    attention = 12 * config.n_layer * config.n_head * config.head_width * config.block_size
    return _FACTOR * _count_multiplied(model) + attention


def peak_flops(device: torch.device, training: TrainingConfig) -> float | None:
    """Return the peak of a device in the precision of a run, in operations per second.

    Returns:
        None where it is not known, as of every CPU.
    """
    if device.type != "cuda":
        return None
    return peak_of(torch.cuda.get_device_name(device), _precision(training))


def peak_of(name: str, precision: str) -> float | None:
    """Return the peak of a device by its name; None where it is not known.

    Args:
        name: What torch calls the device.
        precision: `bf16`, `fp16`, `tf32` or `fp32`.
    """
    return PEAKS.get(name, {}).get(precision)


def _precision(training: TrainingConfig) -> str:
    """Return the type in which matrices are multiplied on a GPU."""
    if training.use_amp and training.amp_dtype in AMP_DTYPES:
        return training.amp_dtype
    return FP32 if torch.get_float32_matmul_precision() == "highest" else TF32


def _is_known(config: GPTConfig) -> bool:
    """Return whether the config is one that the formula was made for."""
    is_built_in = all((slot, getattr(config, slot)) in BUILT_IN for slot in SLOTS)
    return is_built_in and config.sliding_window is None and config.adapter is None


def _count_multiplied(model: Transformer) -> int:
    """Count the parameters that a token is multiplied with."""
    total = sum(parameter.numel() for parameter in model.parameters())
    names = [POSITIONS] if model.config.pos_encoding == "learned" else []
    names += [] if model.config.tie_weights else [EMBEDDING]
    tables = dict(model.named_parameters(remove_duplicate=False))
    return total - sum(tables[name].numel() for name in names)
