"""Combine the parts of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from mypt.model.assembly import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import AttentionCache, AttentionPart, Context, MakeLinear, PointwisePart


class PreNormBlock(nn.Module):
    """A block with a norm before each part and a residual connection around it.

    Source: Radford et al. 2019 (GPT-2), section 2.3.
    """

    sa: AttentionPart
    fwd: PointwisePart
    ln1: PointwisePart
    ln2: PointwisePart

    def __init__(self, _: GPTConfig) -> None:
        """Start without parts; `mypt.model.assembly.build_block` sets them."""
        super().__init__()

    def forward(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        x = x + self.sa(self.ln1(x), context, cache)
        return x + self.fwd(self.ln2(x))

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        sa, fwd = make_one_token(self.sa, linear), make_one_token(self.fwd, linear)
        ln1, ln2 = make_one_token(self.ln1, linear), make_one_token(self.ln2, linear)

        def step(x: Tensor, context: Context, cache: AttentionCache) -> Tensor:
            x = x + sa(ln1(x), context, cache)
            return x + fwd(ln2(x))

        return step
