"""The nearest orthogonal matrices, roughly, by five products of matrices.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", which chose
the polynomial: singular values end between about 0.7 and 1.2, after few iterations.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The polynomial a x + b x^3 + c x^5 of singular values.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_LEAST_NORM = 1e-7


def orthogonalize(matrices: Tensor, n_steps: int) -> Tensor:
    """Bring the singular values of matrices near 1.

    Args:
        matrices: (count, rows, columns), floating.
        n_steps: Iterations.

    Returns:
        Their shape and dtype.
    """
    is_tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(_LEAST_NORM)  # singular values up to 1
    x = x.to(choose_dtype(x))
    for _ in range(n_steps):
        squares = x @ x.mT
        factors = torch.baddbmm(squares, squares, squares, beta=_B, alpha=_C)
        x = torch.baddbmm(x, factors, x, beta=_A)
    return (x.mT if is_tall else x).to(matrices.dtype)


def choose_dtype(matrices: Tensor) -> torch.dtype:
    """Return what matrices are orthogonalized in: bfloat16 where a GPU multiplies it natively.

    On a CPU without such instructions it takes five times as long as float32.
    """
    if matrices.is_cuda and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
