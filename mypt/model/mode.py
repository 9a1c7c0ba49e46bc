"""The mode of a model: training, with dropout, or evaluation."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Keep a model in evaluation mode inside, and give it back in the mode that it had."""
    if not model.training:  # to set it once more takes as long as a small part
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
