"""Position encodings: learned and rotary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mypt.model.torch_private import MoveAwareModule
from mypt.plugins.parts import Placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import MakeLinear


class LearnedPositions(nn.Module):
    """One trained vector per position, added to the token embedding."""

    def __init__(self, config: GPTConfig) -> None:
        """Allocate (block_size, n_embd) values."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.block_size, config.n_embd))

    def forward(self, positions: Tensor, key_positions: Tensor) -> Placement:  # noqa: ARG002
        """Look up the vectors of the positions."""
        return Placement(embedding=nn.functional.embedding(positions, self.weight))

    def one_token(self, _: MakeLinear) -> Callable[[int], Placement]:
        """See `mypt.plugins.parts`."""
        weight = self.weight
        return lambda position: Placement(embedding=weight[position])


class RotaryPositions(MoveAwareModule):
    """Rotation of queries and keys by angles that grow with the position.

    Source: Su et al. 2021, section 3.2.2, with the two halves of a head (not adjacent values) as
    the two coordinates.
    """

    table: Tensor

    def __init__(self, config: GPTConfig) -> None:
        """Compute the angles; nothing is trained."""
        super().__init__()
        self._config = config
        self.register_buffer("table", rotary_table(config), persistent=False)

    def forward(self, positions: Tensor, key_positions: Tensor) -> Placement:  # noqa: ARG002
        """Look up the angles of the positions."""
        cos, sin = self.table[:, positions]
        return Placement(rotate=partial(rotate, cos=cos, sin=sin))

    def one_token(self, _: MakeLinear) -> Callable[[int], Placement]:
        """See `mypt.plugins.parts`."""
        cosines, sines = self.table

        def place(position: int) -> Placement:
            return Placement(rotate=partial(rotate, cos=cosines[position], sin=sines[position]))

        return place

    def on_move(self) -> None:
        """Recompute the angles: in float32 whatever the dtype is, and also after `to_empty`.

        Rounded angles would misplace distant tokens.
        """
        self.table = rotary_table(self._config).to(self.table.device)


def rotary_table(config: GPTConfig) -> Tensor:
    """Compute the cosines and signed sines of all positions.

    Returns:
        (2, block_size, head_width) float32 on the CPU, also under `torch.device("meta")`. The
        first half of each sine row is negated, as `rotate` expects.
    """
    halves = torch.arange(0, config.head_width, 2, dtype=torch.float32, device="cpu")
    frequencies = 1.0 / config.rope_theta ** (halves / config.head_width)
    positions = torch.arange(config.block_size, dtype=torch.float32, device="cpu")
    angles = torch.outer(positions / config.rope_scale, frequencies)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], dim=1), torch.cat([-sin, sin], dim=1)])


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (x[i], x[i + width / 2]) by the angle of its position.

    Args:
        x: (B, heads, T, width), any floating dtype.
        cos: Cosines, (T, width) float32, or (width,) for one position.
        sin: Sines, shape and dtype of `cos`, negated in the first half.

    Returns:
        Shape and dtype of `x`; computed in float32.
    """
    swapped = x.roll(x.size(-1) // 2, dims=-1)
    return torch.addcmul(x * cos, swapped, sin).to(x.dtype)
