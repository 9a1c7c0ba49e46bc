"""The layers of nanochat's model, in which the ids and the first activations come in again."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mypt.plugins import make_layer_cache
from mypt_nanochat import initial_values
from mypt_nanochat.layer import Layer
from mypt_nanochat.layout import SMEAR_INPUTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.plugins import AttentionCache, Contexts, GPTConfig, MakeLinear


class StackCache:
    """What earlier positions leave to later ones.

    Attributes:
        smear: The first activations, as the keys of a layer that sees one position back.
        layers: Keys and values of each layer.
    """

    def __init__(self, config: GPTConfig, capacity: int) -> None:
        """Start empty, with room for `capacity` positions."""
        windows = [config.window_at(layer) for layer in range(config.n_layer)]
        self.smear = make_layer_cache(capacity, Smear.WINDOW)
        self.layers = [make_layer_cache(capacity, window) for window in windows]

    def can_resume(self, start: int) -> bool:
        """Return whether a pass may begin at a position, and replace what is stored from there."""
        return all(kept.can_resume(start) for kept in (self.smear, *self.layers))

    @property
    def layer_caches(self) -> list[AttentionCache]:
        """All of them; see `mypt.plugins.StackPart`."""
        return [self.smear, *self.layers]


class Smear(nn.Module):
    """Add to each activation a part of the one before it, by a gate that looks at the activation.

    Source: nanochat's `gpt.py`, after modded-nanogpt.
    """

    WINDOW = 2

    def __init__(self) -> None:
        """Allocate the gate."""
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(1))
        self.gate = nn.Linear(SMEAR_INPUTS, 1, bias=False)

    def forward(
        self, x: Tensor, start: int, cache: AttentionCache | None, documents: Tensor | None = None
    ) -> Tensor:
        """Map (B, T, n_embd) to the same shape; nothing is before the first position of a text.

        Args:
            x: The first activations.
            start: Number of positions before them.
            cache: Holds the last of these.
            documents: The text of each position, (B, T); None where a row is one.
        """
        if cache is None or start == 0:
            before = F.pad(x, (0, 0, 1, -1))
        if documents is not None:
            is_same = F.pad(documents[:, 1:] == documents[:, :-1], (1, 0))
            before = before * is_same[..., None]
        if cache is not None:
            seen = self._remember(x, start, cache)
            before = seen[:, :-1] if start else before
        return x + self._open(x) * before

    def one_token(self, x: Tensor, start: int, cache: AttentionCache) -> Tensor:
        """Do the same for one position per row, (B, n_embd)."""
        seen = self._remember(x[:, None], start, cache)
        return x + self._open(x) * seen[:, 0] if start else x

    def reset(self, generator: torch.Generator) -> None:
        """Set the weights of a new model."""
        nn.init.constant_(self.factor, initial_values.SMEAR)
        initial_values.draw_uniform(self.gate.weight, 0.0, initial_values.GATE_MAX, generator)

    def _open(self, x: Tensor) -> Tensor:
        return self.factor * torch.sigmoid(self.gate(x[..., :SMEAR_INPUTS]))

    @staticmethod
    def _remember(x: Tensor, start: int, cache: AttentionCache) -> Tensor:
        """Return the activations of the positions max(0, start - 1) and on."""
        as_keys = x[:, None]
        seen, _ = cache.extend(as_keys, as_keys[..., :0], start)
        return seen[:, 0]


class NanochatStack(nn.Module):
    """Layers, each of which gets a mixture of the residual stream and of its first activations.

    What was in the stream after the layer in the middle is subtracted from the end in part.

    Source: nanochat's `gpt.py` of July 2026.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Build the layers."""
        super().__init__()
        self._config = config
        self._middle = config.n_layer // 2
        self.residual_factors = nn.Parameter(torch.ones(config.n_layer))
        self.first_factors = nn.Parameter(torch.zeros(config.n_layer))
        self.middle_factor = nn.Parameter(torch.zeros(1))
        self.smear = Smear()
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.n_layer))

    def forward(
        self, x: Tensor, idx: Tensor, contexts: Contexts, cache: StackCache | None
    ) -> Tensor:
        """Apply the layers; see `mypt.plugins.StackPart`."""
        kept = None if cache is None else cache.smear
        x = first = self.smear(x, contexts.start, kept, contexts.documents)
        middle = x
        caches = repeat(None) if cache is None else cache.layers
        for number, (layer, layer_cache) in enumerate(zip(self.layers, caches, strict=False)):
            x = self.residual_factors[number] * x + self.first_factors[number] * first
            x = contexts.apply(layer, x, idx, contexts.of_layer(number), layer_cache)
            if number == self._middle:
                middle = x
        return x - self.middle_factor * middle

    def make_cache(self, capacity: int) -> StackCache:
        """See `mypt.plugins.StackPart`."""
        return StackCache(self._config, capacity)

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        steps = [layer.one_token(linear) for layer in self.layers]
        smear, last = self.smear.one_token, self._middle
        factors = [*zip(self.residual_factors.tolist(), self.first_factors.tolist(), strict=True)]
        middle_factor = self.middle_factor.item()

        def step(x: Tensor, ids: Tensor, contexts: Contexts, cache: StackCache) -> Tensor:
            x = first = smear(x, contexts.start, cache.smear)
            middle = x
            for number, apply in enumerate(steps):
                mine, of_first = factors[number]
                x = torch.add(x * mine, first, alpha=of_first)
                x = apply(x, ids, contexts.of_layer(number), cache.layers[number])
                if number == last:
                    middle = x
            return torch.sub(x, middle, alpha=middle_factor)

        return step

    def reset(self, _: torch.Generator) -> None:
        """Set the weights of a new model that are not of a layer."""
        initial_values.fill_line(self.residual_factors, 1.15, 1.05)
        initial_values.fill_line(self.first_factors, 0.20, 0.05)
        nn.init.constant_(self.middle_factor, initial_values.MIDDLE)
