"""The tokens of a batch of texts that are being continued, in memory that grows with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

# From the number of a row and a count: that many uniform numbers in [0, 1), (count,). A longer draw
# of a row begins with a shorter one.
DrawNumbers = Callable[[int, int], "Tensor"]
# New tokens that there is room for at first; the room is doubled whenever it is used up.
ROOM = 1024


class Rows:
    """The tokens of a batch, each row from position 0.

    Attributes:
        shortest: Length of the shortest prompt.
        end: Position after the last new token of the longest prompt.
    """

    def __init__(self, prompts: Sequence[Tensor], new: int, draw: DrawNumbers | None) -> None:
        """Begin with the prompts.

        Args:
            prompts: Ids of one row each, (T,) int64, at least one.
            new: Number of tokens to add to each row.
            draw: Draws the numbers that decide the new tokens of a row; None for zeros.
        """
        self._prompts, self._new, self._draw = prompts, new, draw
        self._lengths = torch.tensor([len(prompt) for prompt in prompts], device=prompts[0].device)
        self.shortest, self._longest = min(map(len, prompts)), max(map(len, prompts))
        self.end = self._longest + new
        room = min(self.end, self._longest + ROOM)
        self._ids = self._lengths.new_zeros(len(prompts), room)
        for row, prompt in enumerate(prompts):
            self._ids[row, : len(prompt)] = prompt
        self._draws = self._draw_numbers(room)

    def window(self, position: int, block_size: int) -> Tensor:
        """Return the ids of the last `block_size` positions before one, (B, T) int64."""
        return self._ids[:, max(0, position - block_size) : position]

    def draws(self, position: int) -> Tensor:
        """Return the number of each row that decides its token at a position, (B,)."""
        return self._draws[:, position - self.shortest]

    def put(self, position: int, chosen: Tensor) -> Tensor:
        """Set the tokens of one position, to those of the prompt where it goes so far."""
        if position < self._longest:
            chosen = torch.where(self._lengths > position, self._ids[:, position], chosen)
        self._ids[:, position] = chosen
        if position + 1 == self._ids.size(1) < self.end:
            self._grow()
        return chosen

    def _grow(self) -> None:
        before = self._ids.size(1)
        room = min(self.end, 2 * before)
        self._ids = F.pad(self._ids, (0, room - before))
        self._draws = self._draw_numbers(room)

    def _draw_numbers(self, room: int) -> Tensor:
        """Return the numbers of the positions from `shortest` on, (B, room - shortest) float32.

        A row's own begin after its prompt.
        """
        numbers = torch.zeros(len(self._prompts), room - self.shortest)
        if self._draw is not None:
            for row, prompt in enumerate(self._prompts):
                count = min(self._new, room - len(prompt))
                first = len(prompt) - self.shortest
                numbers[row, first : first + count] = self._draw(row, count)
        return numbers.to(self._ids.device)
