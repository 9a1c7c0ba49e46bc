"""Norms over the last dimension: over the residual stream, or over queries and keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import MakeLinear


def make_norm(config: GPTConfig, width: int | None = None) -> nn.Module:
    """Build the norm that a config chooses.

    Args:
        config: Its `norm_type` is one of mypt's own.
        width: Number of values to normalize; by default those of the residual stream.
    """
    kinds = {
        ("layernorm", False): LayerNorm,
        ("layernorm", True): OffsetLayerNorm,
        ("rmsnorm", False): RmsNorm,
        ("rmsnorm", True): OffsetRmsNorm,
    }
    return kinds[config.norm_type, config.norm_offset != 0](config, width or config.n_embd)


class _Norm(nn.Module):
    """The weights of a norm, each of which it may lack: a scale and a shift."""

    def __init__(self, config: GPTConfig, width: int) -> None:
        """Start with a scale of 1 and a shift of 0."""
        super().__init__()
        self.shape = (width,)
        self.eps = config.norm_epsilon
        self.offset = config.norm_offset
        first = torch.full(self.shape, 1.0 - self.offset)
        self.weight = nn.Parameter(first) if config.has_norm_weight else None
        self.bias = nn.Parameter(torch.zeros(width)) if config.has_norm_bias else None

    @torch.no_grad()
    def reset(self, _: torch.Generator) -> None:
        """Set the weights such that the scale is 1."""
        if self.weight is not None:
            self.weight.fill_(1.0 - self.offset)

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        return self.forward


class LayerNorm(_Norm):
    """Normalize to mean 0 and variance 1, with an optional scale and shift.

    Source: Ba et al. 2016.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape and dtype."""
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        shape, weight, bias, eps = self.shape, self.weight, self.bias, self.eps
        return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


class RmsNorm(_Norm):
    """Normalize to root mean square 1, with an optional scale and shift.

    Source: Zhang and Sennrich 2019. torch's own has no shift, which some other programs train.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape and dtype."""
        normed = scale_rms(x, self.weight, self.shape, self.eps)
        return normed if self.bias is None else normed + self.bias

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        weight, bias = self.weight, self.bias
        if weight is None or weight.device.type != "cpu" or weight.dtype != torch.float32:
            return super().one_token(linear)
        step = _make_rms_step(weight, self.eps)
        return step if bias is None else lambda x: step(x).add_(bias)


class OffsetLayerNorm(LayerNorm):
    """A layer norm whose scale is the weight plus `norm_offset`.

    Source: `layernorm1p` of NVIDIA's Megatron, for a weight decay towards a scale of 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape and dtype."""
        bias = None if self.bias is None else widen(self.bias)
        return F.layer_norm(widen(x), self.shape, add_offset(self), bias, self.eps).to(x.dtype)

    def one_token(self, _: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        return self.forward


class OffsetRmsNorm(RmsNorm):
    """An RMS norm whose scale is the weight plus `norm_offset`.

    Source: the code released with Gemma, 2024, whose weights are what is added to 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape and dtype."""
        normed = scale_rms(widen(x), add_offset(self), self.shape, self.eps)
        return (normed if self.bias is None else normed + self.bias).to(x.dtype)

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        return _Norm.one_token(self, linear)


def add_offset(norm: _Norm) -> Tensor:
    """Return the scale of a norm, in at least float32: 16 bits would round the sum, not the parts.

    The config has weights, else the offset is refused.
    """
    weight: Tensor = norm.weight  # type: ignore[assignment]
    return widen(weight) + norm.offset


def widen(x: Tensor) -> Tensor:
    """Return values of 16 bits as float32, and others as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def scale_rms(x: Tensor, weight: Tensor | None, shape: tuple[int], eps: float) -> Tensor:
    """Divide by the root mean square, and multiply by the weight if there is one."""
    if x.device.type == "cpu" and x.requires_grad and not torch.compiler.is_compiling():
        return _RmsNormOnCpu.apply(x, weight, eps)  # type: ignore[no-any-return, no-untyped-call]
    return F.rms_norm(x, shape, weight, eps)


def _make_rms_step(weight: Tensor, eps: float) -> Callable[[Tensor], Tensor]:
    """Return RMS norm for one position per row, in 0.3 to 0.6 of the time of `rms_norm`.

    On a CPU torch computes that with eight functions, each of which takes longer to call than to
    run. Here they are three for a single vector and five for several.

    Args:
        weight: (width,), float32 on the CPU.
        eps: Added to the mean square.
    """
    width, base, zeros = weight.numel(), weight.new_tensor(eps), torch.zeros_like(weight)

    def step(x: Tensor) -> Tensor:
        if x.numel() == width:
            length = torch.linalg.vector_norm(x).item()
            factor = 1 / math.sqrt(length * length / width + eps)
            return torch.addcmul(zeros, x, weight, value=factor)
        lengths = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        factors = torch.addcmul(base, lengths, lengths, value=1 / width).rsqrt_()
        return torch.mul(x, factors).mul_(weight)

    return step


class _RmsNormOnCpu(torch.autograd.Function):
    """RMS norm in 0.4 to 0.5 of the time of `rms_norm`, for which torch has no CPU kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
        """Save the normalized values and their factors."""
        norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norms.square_().div_(x.size(-1)).add_(eps).rsqrt_()
        normed: Tensor = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed if weight is None else normed * weight

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor | None, None]:
        """Compute the gradients of `x` and of the weight."""
        normed, inverse, weight = ctx.saved_tensors
        width = normed.size(-1)
        products = (upstream * normed).flatten(0, -2)  # (positions, width)
        if weight is None:
            along = products.sum(1).div_(-width).view(inverse.shape)
            return upstream.addcmul(normed, along).mul_(inverse), None, None
        along = torch.mv(products, weight).div_(-width).view(inverse.shape)
        of_x = (upstream * weight).addcmul_(normed, along).mul_(inverse)
        return of_x, products.sum(0), None
