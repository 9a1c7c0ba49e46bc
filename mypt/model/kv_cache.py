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
