"""Turn ids into the first activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from mypt.plugins.nn.one_token import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import MakeLinear


class TokenEmbedding(nn.Embedding):
    """One trained vector per id; the config may say to multiply it by a number and normalize it.

    Source: Vaswani et al. 2017, section 3.4, also for the factor; Le Scao et al. 2022 (BLOOM),
    section 3.1.2, for the norm.
    """

    def __init__(self, config: GPTConfig, make_norm: Callable[[], nn.Module]) -> None:
        """Allocate (vocab_size, n_embd) values."""
        super().__init__(config.vocab_size, config.n_embd)
        self.scale = config.embedding_scale
        self.norm = make_norm() if config.embedding_norm else None

    def forward(self, idx: Tensor) -> Tensor:
        """Map ids (B, T) to (B, T, n_embd)."""
        x = F.embedding(idx, self.weight)
        if self.scale != 1:
            x = x * self.scale
        return x if self.norm is None else self.norm(x)

    def one_token(self, linear: MakeLinear) -> Callable[[Tensor], Tensor]:
        """See `mypt.plugins.parts`."""
        weight, scale = self.weight, self.scale
        norm = None if self.norm is None else make_one_token(self.norm, linear)
        if norm is None and scale == 1:
            return lambda ids: F.embedding(ids, weight)
        if norm is None:
            return lambda ids: F.embedding(ids, weight) * scale
        return lambda ids: norm(F.embedding(ids, weight) * scale)
