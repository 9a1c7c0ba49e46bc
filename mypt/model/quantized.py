"""Linear layers with 8-bit integer weights, for a quarter of the memory and memory traffic."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mypt.model.torch_private import can_quantize_rows, multiply_int8, quantize_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Product = Callable[[Tensor], Tensor]

LARGEST = 127
# Below any row of activations that matters; only prevents a division by 0 for a row of zeros.
LEAST = 1e-12
# On processors without VNNI fbgemm adds pairs of products in 16 bits. With 7-bit inputs they fit;
# with 8 bits they would saturate, and a model's output would depend on the processor.
LARGEST_INPUT = 63
ZERO_INPUT = 64
FBGEMM = "fbgemm"


class Int8Linear(nn.Module):
    """A linear layer whose weights and inputs are rounded to integers.

    Each row of the weights and each row of the input has its own factor, so that its largest value
    becomes the largest integer; the products are summed in 32 bits. The result of a row does not
    depend on the other rows.

    Source: Dettmers et al. 2022 (LLM.int8), section 2, vector-wise quantization.
    """

    def __init__(self, layer: nn.Linear, make_product: Callable[[Tensor, Tensor], Product]) -> None:
        """Round the weights of a layer, on the CPU, in float32.

        Args:
            layer: The layer to quantize.
            make_product: `make_fbgemm_product` or `make_integer_product`.
        """
        super().__init__()
        weight = layer.weight.detach()
        factors = weight.abs().amax(dim=1).clamp_(min=LEAST).div_(LARGEST)
        rounded = (weight / factors[:, None]).round_().to(torch.int8)
        self.product = make_product(rounded, factors)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out), float32."""
        rows = x.flatten(0, -2)
        factors = rows.abs().amax(dim=1, keepdim=True).clamp_(min=LEAST)
        out = self.product(rows / factors)
        out = out.mul_(factors) if self.bias is None else torch.addcmul(self.bias, out, factors)
        return out.view(*x.shape[:-1], -1)


def make_fbgemm_product(rounded: Tensor, factors: Tensor) -> Product:
    """Return a function that multiplies by a matrix with fbgemm, which torch includes for x86.

    Args:
        rounded: The matrix divided by its factors, (out, in) int8.
        factors: One per row, (out,) float32.

    Returns:
        A function from (N, in) with values of at most 1 to (N, out), float32.
    """
    with _use_fbgemm():
        packed = torch.ops.quantized.linear_prepack(quantize_rows(rounded, factors), None)
    multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
    return lambda x: multiply(x, 1 / LARGEST_INPUT, ZERO_INPUT, packed)


def make_integer_product(rounded: Tensor, factors: Tensor) -> Product:
    """Return a function that multiplies in integers on any CPU; see `make_fbgemm_product`."""
    outer = factors / LARGEST

    def product(x: Tensor) -> Tensor:
        integers = multiply_int8((x * LARGEST).round_().to(torch.int8), rounded.T)
        return integers.float().mul_(outer)

    return product


def has_fbgemm() -> bool:
    """Return whether torch includes fbgemm, which exists for x86 and may be removed from torch."""
    engines = torch.backends.quantized.supported_engines
    return FBGEMM in engines and can_quantize_rows()


@torch.no_grad()
def quantize(model: nn.Module) -> None:
    """Replace every linear layer of a model, for inference on a CPU; embeddings are unchanged."""
    make_product = make_fbgemm_product if has_fbgemm() else make_integer_product
    make = partial(Int8Linear, make_product=make_product)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            own = getattr(child, "quantize", None)
            if own is not None:
                setattr(module, name, own(make))
            elif type(child) is nn.Linear:
                setattr(module, name, make(child))


def is_quantized(model: nn.Module) -> bool:
    """Return whether `quantize` was applied to the model."""
    return any(isinstance(module, Int8Linear) for module in model.modules())


@contextmanager
def _use_fbgemm() -> Iterator[None]:
    """Select fbgemm in torch's global setting for a block, without its deprecation warning."""
    engines = torch.backends.quantized
    before = engines.engine
    engines.engine = FBGEMM
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        engines.engine = before
