"""How the parts of a block are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from mypt.format.documents import GPTConfig
    from mypt.model.cache import LayerCache
    from mypt.model.parts import AttentionPart, Context, PointwisePart


class PreNormBlock(nn.Module):
    """Norm before each part, residual around it.

    Source: Radford et al. 2019 (GPT-2), section 2.3.
    """

    sa: AttentionPart
    fwd: PointwisePart
    ln1: PointwisePart
    ln2: PointwisePart

    def __init__(self, _: GPTConfig) -> None:
        """Wait for the parts, which `mypt.model.parts.build_block` sets."""
        super().__init__()

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        x = x + self.sa(self.ln1(x), context, cache)
        return x + self.fwd(self.ln2(x))
