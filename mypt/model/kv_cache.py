"""What generation keeps of earlier tokens, so that each new token costs one position."""

from __future__ import annotations

from typing import Any


class KVCache:
    """The caches of all layers for one batch of sequences.

    Attributes:
        layers: What the stack of layers keeps, as its `make_cache` made it; for mypt's own, one
            cache per layer.
        length: Number of positions stored; set it to 0 to start over in the same memory.
    """

    def __init__(self, layers: Any) -> None:
        """Start empty.

        Args:
            layers: A cache in which nothing is stored.
        """
        self.layers = layers
        self.length = 0

    def can_resume(self, start: int) -> bool:
        """Return whether a pass may begin at a position, and replace what is stored from there on.

        Args:
            start: At most `length`. 0 and `length` are always possible; between them, it is up to
                the caches of the stack, which say so by a method `can_resume` of their own.
        """
        if start in (0, self.length):
            return True
        kept = self.layers if isinstance(self.layers, list) else [self.layers]
        return all(hasattr(layer, "can_resume") and layer.can_resume(start) for layer in kept)
