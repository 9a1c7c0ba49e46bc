"""Norms over the width of the residual stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents import GPTConfig
    from mypt.plugins.parts import MakeLinear


class LayerNorm(nn.LayerNorm):
    """Norm to mean 0 and variance 1, with scale and optional shift.

    Source: Ba et al. 2016.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Begin as the bare norm."""
        super().__init__(config.n_embd, eps=config.norm_epsilon, bias=config.has_norm_bias)

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        shape, weight, bias, eps = self.normalized_shape, self.weight, self.bias, self.eps
        return lambda x: F.layer_norm(x, shape, weight, bias, eps)


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

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        return self.forward
