"""Draw the weights of a new model as nanochat does.

Source: `init_weights` in nanochat's `gpt.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDING_STD, HEAD_STD = 0.8, 0.001
UP_SHARE = 0.4  # of the range of other matrices
GATE_MAX = 0.02
SMEAR, MIDDLE = 0.0, 0.2


def find_range(n_embd: int) -> float:
    """Return the largest value of a matrix: uniform values up to it have variance 1 / n_embd."""
    return float((3 / n_embd) ** 0.5)


def draw_uniform(weight: Tensor, low: float, high: float, generator: torch.Generator) -> None:
    """Set a parameter on any device to numbers that are drawn on the CPU."""
    with torch.no_grad():
        weight.copy_(torch.empty(weight.shape).uniform_(low, high, generator=generator))


def draw_normal(weight: Tensor, std: float, generator: torch.Generator) -> None:
    """Set a parameter on any device to numbers that are drawn on the CPU."""
    with torch.no_grad():
        weight.copy_(torch.empty(weight.shape).normal_(0.0, std, generator=generator))


def fill_line(factors: Tensor, first: float, last: float) -> None:
    """Set the factors of layers to values that fall evenly from the first layer to the last."""
    with torch.no_grad():
        factors.copy_(torch.linspace(first, last, len(factors)))
