"""Apply the layers of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from mypt.plugins.nn.cache import make_layer_cache
from mypt.plugins.nn.one_token import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import AttentionCache, Contexts, MakeLinear


class SequentialStack(nn.ModuleList):
    """The blocks of the config, one after the other."""

    def __init__(self, config: GPTConfig, make_block: Callable[[int], nn.Module]) -> None:
        """Make a block for each layer."""
        super().__init__(make_block(layer) for layer in range(config.n_layer))
        self._windows = [config.window_at(layer) for layer in range(config.n_layer)]

    @property
    def layers(self) -> SequentialStack:
        """The blocks."""
        return self

    def forward(
        self,
        x: Tensor,
        idx: Tensor,  # noqa: ARG002
        contexts: Contexts,
        cache: Sequence[AttentionCache] | None,
    ) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        for layer, block in enumerate(self):
            kept = None if cache is None else cache[layer]
            x = contexts.apply(block, x, contexts.of_layer(layer), kept)
        return x

    def make_cache(self, capacity: int) -> list[AttentionCache]:
        """Return one cache per block."""
        return [make_layer_cache(capacity, window) for window in self._windows]

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        blocks = [make_one_token(block, linear) for block in self]

        def step(
            x: Tensor,
            ids: Tensor,  # noqa: ARG001
            contexts: Contexts,
            cache: Sequence[AttentionCache],
        ) -> Tensor:
            for layer, block in enumerate(blocks):
                x = block(x, contexts.of_layer(layer), cache[layer])
            return x

        return step
