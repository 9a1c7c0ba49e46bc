"""Norms over the width of the residual stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import MakeLinear


class LayerNorm(nn.LayerNorm):
    """Normalize to mean 0 and variance 1, with a scale and an optional shift.

    Source: Ba et al. 2016.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Start with a scale of 1 and, if any, a shift of 0."""
        super().__init__(config.n_embd, eps=config.norm_epsilon, bias=config.has_norm_bias)

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        shape, weight, bias, eps = self.normalized_shape, self.weight, self.bias, self.eps
        return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


class RmsNorm(nn.Module):
    """Normalize to root mean square 1, with a scale and an optional shift.

    Source: Zhang and Sennrich 2019. torch's own has no shift, which some other programs train.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Start with a scale of 1 and, if any, a shift of 0."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.n_embd))
        self.bias = nn.Parameter(torch.zeros(config.n_embd)) if config.has_norm_bias else None
        self.eps = config.norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, n_embd) to the same shape and dtype."""
        if x.device.type == "cpu" and x.requires_grad and not torch.compiler.is_compiling():
            normed: Tensor = _RmsNormOnCpu.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
        else:
            normed = F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return normed if self.bias is None else normed + self.bias

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        return self.forward


class _RmsNormOnCpu(torch.autograd.Function):
    """RMS norm in 0.4 to 0.5 of the time of `rms_norm`, for which torch has no CPU kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """Save the normalized values and their factors."""
        norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norms.square_().div_(x.size(-1)).add_(eps).rsqrt_()
        normed: Tensor = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed * weight

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        """Compute the gradients of `x` and of the weight."""
        normed, inverse, weight = ctx.saved_tensors
        products = (upstream * normed).flatten(0, -2)  # (B T, n_embd)
        along = torch.mv(products, weight).div_(-weight.size(0)).view(inverse.shape)
        of_x = (upstream * weight).addcmul_(normed, along).mul_(inverse)
        return of_x, products.sum(0), None
