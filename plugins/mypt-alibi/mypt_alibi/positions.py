"""Attention with linear biases: more distant tokens get lower attention scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mypt.plugins import Placement
from mypt_alibi.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from mypt.plugins import GPTConfig


class AlibiPositions(nn.Module):
    """A bias on attention scores that decreases linearly with distance; nothing is trained.

    Source: Press, Smith and Lewis 2022, "Train Short, Test Long: Attention with Linear Biases
    Enables Input Length Extrapolation", section 3.
    """

    slopes: Tensor

    def __init__(self, config: GPTConfig) -> None:
        """Compute the slope of each head."""
        super().__init__()
        settings = read_settings(config)
        self._n_head = config.n_head
        self._factor: float = settings["factor"]
        self._rounds = settings["dtype"] == "bfloat16"
        # Computed once, since copying numbers to a GPU synchronizes with it.
        self.register_buffer(
            "slopes", torch.tensor(compute_slopes(config.n_head), device="cpu"), persistent=False
        )

    def forward(self, positions: Tensor, key_positions: Tensor) -> Placement:
        """Return the bias for each query and key, (n_head, T, K) float32.

        Rounded ones are those of the keys' positions, (n_head, 1, K): to the softmax the same as
        those of distances but for rounding.
        """
        slopes = self.slopes[:, None, None]
        if self._rounds:
            bias = (slopes.bfloat16() * key_positions).float()
        else:
            bias = slopes * (key_positions - positions[:, None])  # 0 or less in the past
        return Placement(bias=bias if self._factor == 1.0 else bias * self._factor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # The slopes follow the device but not the dtype, and are also correct after `to_empty`.
        super()._apply(fn, recurse)
        self.slopes = torch.tensor(compute_slopes(self._n_head), device="cpu").to(
            self.slopes.device
        )
        return self


def compute_slopes(n_head: int) -> list[float]:
    """Return the slope of each head.

    For a power of two, 2 ** (-8 / n_head) and its powers. For any other number, the slopes for the
    next lower power of two, then every other slope for the next higher one.

    Source: Press et al. 2022, section 3, and `get_slopes` of the code released with it, for
    numbers of heads that are not a power of two.
    """
    below = 2 ** math.floor(math.log2(n_head))
    base = [2.0 ** (-8 * (head + 1) / below) for head in range(below)]
    return base if below == n_head else base + compute_slopes(2 * below)[::2][: n_head - below]
