"""Feed-forward parts: two layers with an activation between them, and gated ones."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mypt.plugins.nn.dropout import dropout

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import MakeLinear


class SquaredRelu(nn.Module):
    """The square of max(0, x).

    Source: So et al. 2021 (Primer), section 4.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to each value."""
        if x.requires_grad and not torch.compiler.is_compiling():
            return _SquaredRelu.apply(x)  # type: ignore[no-any-return, no-untyped-call]
        return F.relu(x).square()


class _SquaredRelu(torch.autograd.Function):
    """The same values and gradients in 4 passes over memory, where torch's operations take 9."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Save what is squared."""
        rectified = x.relu()
        ctx.save_for_backward(rectified)
        return rectified * rectified

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        """Compute the gradient of `x`."""
        rectified: Tensor
        (rectified,) = ctx.saved_tensors
        return (upstream * rectified).mul_(2)


class QuickGelu(nn.Module):
    """x times the sigmoid of 1.702 x.

    Source: Hendrycks and Gimpel 2016, section 2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to each value."""
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu2": SquaredRelu,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "quick_gelu": QuickGelu,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
# The activations of the gated parts.
GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "swiglu": F.silu,
    "geglu": F.gelu,
    "geglu_tanh": partial(F.gelu, approximate="tanh"),
    "reglu": F.relu,
}


class TwoLayerMlp(nn.Module):
    """Project up, apply an activation, project down.

    Source: Vaswani et al. 2017, section 3.3; GELU of Hendrycks and Gimpel 2016.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the layers for the activation that `config.mlp_type` names."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.n_embd, config.mlp_width, bias=config.has_mlp_bias),
            ACTIVATIONS[config.mlp_type](),
            nn.Linear(config.mlp_width, config.n_embd, bias=config.has_mlp_bias),
        )
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        out: Tensor = self.net(x)
        return dropout(out, self.dropout) if self.training else out

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        widen, activate, narrow = linear(self.net[0]), self.net[1].forward, linear(self.net[2])
        return lambda x: narrow(activate(widen(x)))


class GatedMlp(nn.Module):
    """Project up twice, multiply one by the activation of the other, project down.

    Source: Shazeer 2020, section 2.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the three matrices, and choose the activation that `config.mlp_type` names."""
        super().__init__()
        self.w_gate = nn.Linear(config.n_embd, config.mlp_width, bias=config.has_mlp_bias)
        self.w_up = nn.Linear(config.n_embd, config.mlp_width, bias=config.has_mlp_bias)
        self.w_down = nn.Linear(config.mlp_width, config.n_embd, bias=config.has_mlp_bias)
        self.activate = GATES[config.mlp_type]
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        out: Tensor = self.w_down(self.activate(self.w_gate(x)) * self.w_up(x))
        return dropout(out, self.dropout) if self.training else out

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        gate, up, down = linear(self.w_gate), linear(self.w_up), linear(self.w_down)
        activate = self.activate
        return lambda x: down(activate(gate(x)).mul_(up(x)))
