"""Matrices of 8-bit integers, for a quarter of the memory and of its traffic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 127
# Below the smallest row of activations that matters; only keeps a row of zeros from dividing by 0.
LEAST = 1e-12


class Int8Linear(nn.Module):
    """A linear layer whose weights, and inputs as they come, are rounded to 8 bits.

    Each row of the weights and each row of the input has a factor of its own, so that its largest
    value becomes 127; the products are added up in 32-bit integers (`torch._int_mm`).

    Source: Dettmers et al. 2022 (LLM.int8), section 2, vector-wise quantization.
    """

    def __init__(self, layer: nn.Linear) -> None:
        """Round the weights of a layer, on the CPU, in float32."""
        super().__init__()
        factors = layer.weight.detach().abs().amax(dim=1).clamp(min=LEAST) / LARGEST
        rounded = (layer.weight.detach() / factors[:, None]).round_().to(torch.int8)
        self.register_buffer("rounded", rounded, persistent=False)
        self.register_buffer("factors", factors, persistent=False)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out), float32."""
        rows = x.flatten(0, -2)
        factors = rows.abs().amax(dim=1, keepdim=True).clamp_(min=LEAST).div_(LARGEST)
        rounded = (rows / factors).round_().to(torch.int8)
        out = torch._int_mm(rounded, self.rounded.T).float().mul_(factors).mul_(self.factors)
        if self.bias is not None:
            out += self.bias
        return out.view(*x.shape[:-1], -1)

    rounded: Tensor
    factors: Tensor


@torch.no_grad()
def quantize(model: nn.Module) -> None:
    """Replace every `nn.Linear` of a model, for inference on a CPU; embeddings stay as they are."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, Int8Linear(child))


def is_quantized(model: nn.Module) -> bool:
    """Tell whether `quantize` was there."""
    return any(isinstance(module, Int8Linear) for module in model.modules())
