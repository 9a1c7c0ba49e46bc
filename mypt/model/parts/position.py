"""Position encodings: learned and rotary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mypt.model.parts.rope_frequencies import rotary_table
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

    Source: Su et al. 2021, section 3.2.2, with the two halves of the rotated values (not adjacent
    values) as the two coordinates.
    """

    table: Tensor
    longest_table: Tensor | None
    sliding_table: Tensor | None

    def __init__(self, config: GPTConfig) -> None:
        """Compute the angles; nothing is trained."""
        super().__init__()
        self._config = config
        self._rotate = self._token_rotate = rotate_first
        if config.rotated_width == config.head_width:
            self._rotate = rotate
            self._token_rotate = rotate if config.head_width % 2 else rotate_token
        self.register_buffer("table", None, persistent=False)
        self.register_buffer("longest_table", None, persistent=False)
        self.register_buffer("sliding_table", None, persistent=False)
        self._make_tables("cpu")

    def forward(self, positions: Tensor, key_positions: Tensor) -> Placement:
        """Look up the angles of the positions."""
        cos, sin = self._find_table(key_positions.size(0))[:, positions]
        turn = partial(self._rotate, cos=cos, sin=sin)
        if self.sliding_table is None:
            return Placement(rotate=turn)
        cos, sin = self.sliding_table[:, positions]
        return Placement(rotate=turn, rotate_sliding=partial(self._rotate, cos=cos, sin=sin))

    def one_token(self, _: MakeLinear) -> Callable[[int], Placement]:
        """See `mypt.plugins.parts`."""
        turn, (cosines, sines) = self._token_rotate, self.table
        if self.sliding_table is None:
            return lambda at: Placement(rotate=partial(turn, cos=cosines[at], sin=sines[at]))
        other_cosines, other_sines = self.sliding_table

        def place(position: int) -> Placement:
            cos, sin = other_cosines[position], other_sines[position]
            return Placement(
                rotate=partial(turn, cos=cosines[position], sin=sines[position]),
                rotate_sliding=partial(turn, cos=cos, sin=sin),
            )

        return place

    def on_move(self) -> None:
        """Recompute the angles: in float32 whatever the dtype is, and also after `to_empty`.

        Rounded angles would misplace distant tokens.
        """
        self._make_tables(self.table.device)

    def _make_tables(self, device: torch.device | str) -> None:
        config = self._config
        self.table = rotary_table(config, config.cacheable_length).to(device)
        if config.cacheable_length < config.block_size:  # the length of a batch in training
            self.longest_table = rotary_table(config, config.block_size).to(device)
        if config.rope_theta_sliding is not None:
            self.sliding_table = rotary_table(config, config.block_size, is_sliding=True).to(device)

    def _find_table(self, length: int) -> Tensor:
        """Return the angles of a text of so many positions, which may depend on their number."""
        if length <= self._config.cacheable_length:
            return self.table
        if self.longest_table is not None and length == self._config.block_size:
            return self.longest_table
        return rotary_table(self._config, length).to(self.table.device)


def rotate_first(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first values of each head, as many as there are cosines; see `rotate`."""
    width = cos.size(-1)
    return torch.cat([rotate(x[..., :width], cos, sin), x[..., width:]], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (x[i], x[i + width / 2]) by the angle of its position.

    Of an odd width, value i meets value i + (width - 1) / 2, counted around, as in litgpt; this is
    no rotation.

    Args:
        x: (B, heads, T, width), any floating dtype.
        cos: Cosines, (T, width) float32, or (width,) for one position.
        sin: Sines, shape and dtype of `cos`, negated in the first half.

    Returns:
        Shape and dtype of `x`; computed in float32.
    """
    swapped = x.roll(-(x.size(-1) // 2), dims=-1)
    return torch.addcmul(x * cos, swapped, sin).to(x.dtype)


def rotate_token(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate heads of an even width at one position, (B, heads, 1, width); see `rotate`.

    Of few values, the halves are swapped faster by one function than by the three within `roll`.
    """
    swapped = x.view(x.size(0), -1, 2, x.size(3) // 2).flip(2).view(x.shape)
    return torch.addcmul(x * cos, swapped, sin).to(x.dtype)
