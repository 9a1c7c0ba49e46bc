"""The angles by which rotary positions turn, per position, and how they are scaled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.config_parts.rope_scaling import RopeScaling

# yarn's width of the ramp between bounds that are equal.
_NARROWEST = 0.001


def rotary_table(config: GPTConfig, length: int, *, is_sliding: bool = False) -> Tensor:
    """Compute the cosines and signed sines of the positions of a text.

    Args:
        config: Its `rope_*` fields count.
        length: Number of positions. The `dynamic` scaling depends on it.
        is_sliding: Whether they are those of windowed layers, with a base of their own.

    Returns:
        (2, length, rotated_width) float32 on the CPU, also under `torch.device("meta")`. The first
        half of each sine row, of an odd width the larger half, is negated, as `rotate` expects.
    """
    if is_sliding:
        base, divisor, scaling = config.rope_theta_sliding or config.rope_theta, 1.0, None
    else:
        base, divisor, scaling = config.rope_theta, config.rope_scale, config.rope_scaling
    width = config.rotated_width
    frequencies, factor = _scale(_find_frequencies(base, width), base, width, length, scaling)
    positions = torch.arange(length, dtype=torch.float32, device="cpu") / divisor
    angles = torch.outer(positions, frequencies)
    cos, sin = angles.cos() * factor, angles.sin() * factor
    rows = torch.cat([cos, cos], dim=1), torch.cat([-sin, sin], dim=1)
    return torch.stack([row[:, :width] for row in rows])


def _find_frequencies(base: float, width: int) -> Tensor:
    """Compute the angles per position, (width / 2,) float32, rounded up for an odd width."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device="cpu") / width
    frequencies: Tensor = 1.0 / base**exponents
    return frequencies


def _scale(
    frequencies: Tensor, base: float, width: int, length: int, scaling: RopeScaling | None
) -> tuple[Tensor, float]:
    """Return the scaled frequencies, and the factor of what is rotated."""
    if scaling is None:
        return frequencies, 1.0
    if scaling.kind == "dynamic":
        stretched = _stretch_base(base, width, length, scaling)
        return _find_frequencies(stretched, width), 1.0
    if scaling.kind == "llama3":
        return _interpolate(frequencies, _weigh_llama3(frequencies, scaling), scaling.factor), 1.0
    factor = scaling.attention_factor
    if factor is None:
        factor = 0.1 * math.log(scaling.factor) + 1.0
    return _interpolate(frequencies, _weigh_yarn(base, width, scaling), scaling.factor), factor


def _stretch_base(base: float, width: int, length: int, scaling: RopeScaling) -> float:
    """Return a base with which the lowest frequency of a long text turns as far as before.

    Source: "NTK-aware scaled RoPE" of "bloc97", and its dynamic form of "emozilla", 2023.
    """
    if length <= scaling.original_block_size:
        return base
    longer = scaling.factor * length / scaling.original_block_size - (scaling.factor - 1)
    return float(base * longer ** (width / (width - 2)))


def _interpolate(frequencies: Tensor, kept: Tensor, factor: float) -> Tensor:
    """Divide frequencies by a factor as far as they are not kept, (width / 2,) from 0 to 1."""
    return frequencies * (kept + (1 - kept) / factor)


def _weigh_llama3(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Return how far each frequency is kept, by its number of turns over the original length.

    Source: the code released with Llama 3.1, 2024.
    """
    low, high = scaling.low_freq_factor or 0.0, scaling.high_freq_factor or 0.0  # both are set
    turns = frequencies * scaling.original_block_size / (2 * math.pi)
    return ((turns - low) / (high - low)).clamp(0, 1)


def _weigh_yarn(base: float, width: int, scaling: RopeScaling) -> Tensor:
    """Return how far each frequency is kept, by its index between two bounds.

    Source: Peng et al. 2023, section 3.2, and the code released with it.
    """

    def find_index(turns: float) -> float:
        """Find the index, between pairs, that makes so many turns over the original length."""
        length = scaling.original_block_size / (turns * 2 * math.pi)
        return width * math.log(length) / (2 * math.log(base))

    first, last = find_index(scaling.beta_fast), find_index(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, width - 1)
    indices = torch.arange((width + 1) // 2, dtype=torch.float32, device="cpu")
    return 1 - ((indices - first) / ((last - first) or _NARROWEST)).clamp(0, 1)
