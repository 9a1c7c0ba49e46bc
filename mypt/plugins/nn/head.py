"""Turn the last activations into logits and the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from mypt.plugins.nn.loss import output_loss
from mypt.plugins.nn.token_loss import finish_logits

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.contracts.training import TokenLoss
    from mypt.plugins.parts import MakeLinear


class LinearHead(nn.Linear):
    """A linear layer with one row per id; the config may say to scale and to bound its logits.

    Source: Gemma Team 2024 (Gemma 2), section 2, for the bound.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Allocate (vocab_size, n_embd) values."""
        super().__init__(config.n_embd, config.vocab_size, bias=config.has_head_bias)
        self.scale, self.soft_cap = config.logit_scale, config.logit_soft_cap

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_embd) to (..., vocab_size)."""
        return finish_logits(F.linear(x, self.weight, self.bias), self.scale, self.soft_cap)

    def loss(
        self,
        x: Tensor,
        targets: Tensor,
        loss_mask: Tensor | None,
        token_loss: TokenLoss | None = None,
    ) -> Tensor:
        """Return the mean loss; see `mypt.plugins.parts.HeadPart`."""
        return output_loss(
            x,
            self.weight,
            self.bias,
            targets,
            loss_mask,
            scale=self.scale,
            soft_cap=self.soft_cap,
            token_loss=token_loss,
        )

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        multiply, scale, soft_cap = linear(self._as_linear()), self.scale, self.soft_cap
        if scale == 1 and soft_cap is None:
            return multiply
        return lambda x: finish_logits(multiply(x), scale, soft_cap)

    def quantize(self, make: Callable[[nn.Linear], nn.Module]) -> nn.Module:
        """See `mypt.plugins.parts`."""
        layer = make(self._as_linear())
        if self.scale == 1 and self.soft_cap is None:
            return layer
        return QuantizedHead(layer, self.scale, self.soft_cap)

    def _as_linear(self) -> nn.Linear:
        """Return the linear layer alone, with the same weights."""
        layer = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        # Beside an adapter they are no parameters, and a layer takes nothing else.
        layer.weight = nn.Parameter(self.weight, requires_grad=self.weight.requires_grad)
        layer.bias = None if self.bias is None else nn.Parameter(self.bias)
        return layer


class QuantizedHead(nn.Module):
    """A `LinearHead` whose linear layer is another, for inference."""

    def __init__(self, layer: nn.Module, scale: float, soft_cap: float | None) -> None:
        """Use a layer from (..., n_embd) to (..., vocab_size)."""
        super().__init__()
        self.layer, self.scale, self.soft_cap = layer, scale, soft_cap

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_embd) to (..., vocab_size)."""
        return finish_logits(self.layer(x), self.scale, self.soft_cap)
