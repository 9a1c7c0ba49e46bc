"""Exchange the weights of a model with others for a while, without losing a bit of either."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from mypt.engine.runtime.fsdp import own_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor


@contextmanager
def swapped(pairs: Iterable[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Let parameters have other values; outside of it both are what they were, bit for bit.

    The tensors stay where they are, so that what is compiled, shared or sharded goes on with them.

    Args:
        pairs: Each parameter with a tensor of its shape. One of the same dtype holds the
            parameter's own values meanwhile; of another dtype they are kept apart.
    """
    parts = [(own_part(a.detach()), own_part(b.detach())) for a, b in pairs]
    alike = [(a, b) for a, b in parts if a.dtype == b.dtype]
    others = [(a, b, a.clone()) for a, b in parts if a.dtype != b.dtype]
    try:
        _exchange(alike)
        for parameter, value, _ in others:
            parameter.copy_(value)
        yield
    finally:
        _exchange(alike)
        for parameter, _, before in others:
            parameter.copy_(before)


@torch.no_grad()
def _exchange(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Exchange the contents of tensors of the same dtype, with memory for one at a time."""
    for first, second in pairs:
        before = first.clone()
        first.copy_(second)
        second.copy_(before)
