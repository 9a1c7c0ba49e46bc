"""Switch a model between training mode, with dropout, and evaluation mode."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for a block, and restore its mode afterwards."""
    if not model.training:  # setting it again takes as long as a small part of the model
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
