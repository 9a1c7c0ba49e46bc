"""Norms over the width of the residual stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from mypt.format.documents import GPTConfig


def layer_norm(config: GPTConfig) -> nn.LayerNorm:
    """Build a norm to mean 0 and variance 1, with scale and optional shift.

    Source: Ba et al. 2016.
    """
    return nn.LayerNorm(config.n_embd, eps=config.norm_epsilon, bias=config.has_norm_bias)


class RmsNorm(nn.Module):
    """Norm to root mean square 1, with scale and optional shift.

    Source: Zhang and Sennrich 2019. torch's own has no shift, which some neighbours train.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Begin as the bare norm."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.n_embd))
        self.bias = nn.Parameter(torch.zeros(config.n_embd)) if config.has_norm_bias else None
        self.eps = config.norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, n_embd) to the same shape and dtype."""
        normed = F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return normed if self.bias is None else normed + self.bias
