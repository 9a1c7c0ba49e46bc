"""Combine the parts of a block."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from mypt.format.layout import BLOCK_NORMS, TWO_NORMS
from mypt.plugins.nn.one_token import make_one_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.parts import AttentionCache, Context, MakeLinear


class _Block(nn.Module):
    """What all blocks share: one formula, with their parts for all positions or those for one.

    What attention and feed-forward part add to the residual stream is multiplied by
    `residual_scale`; to add with `alpha` costs no more than to add.
    """

    norms: ClassVar[tuple[str, ...]] = TWO_NORMS

    def __init__(self, config: GPTConfig) -> None:
        """Start without parts; `mypt.model.assembly.build_block` sets them."""
        super().__init__()
        self.residual_scale = config.residual_scale

    def forward(self, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Map (B, T, n_embd) to the same shape."""
        return self.combine(self, x, context, cache)

    def one_token(self, linear: MakeLinear) -> Callable[..., Tensor]:
        """See `mypt.plugins.parts`."""
        names = ("sa", "fwd", *self.norms)
        functions = {name: make_one_token(getattr(self, name), linear) for name in names}
        parts = SimpleNamespace(residual_scale=self.residual_scale, **functions)
        return partial(self.combine, parts)

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts, attributes of the block or functions for one token."""
        raise NotImplementedError


class PreNormBlock(_Block):
    """A block with a norm before each part and a residual connection around it.

    Source: Radford et al. 2019 (GPT-2), section 2.3.
    """

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts; see `_Block`."""
        x = torch.add(x, parts.sa(parts.ln1(x), context, cache), alpha=parts.residual_scale)
        return torch.add(x, parts.fwd(parts.ln2(x)), alpha=parts.residual_scale)


class PostNormBlock(_Block):
    """A block with a norm of the residual stream after each part has been added to it.

    Source: Vaswani et al. 2017, section 3.1; GPT-1 of Radford et al. 2018.
    """

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts; see `_Block`."""
        x = parts.ln1(torch.add(x, parts.sa(x, context, cache), alpha=parts.residual_scale))
        out: Tensor = parts.ln2(torch.add(x, parts.fwd(x), alpha=parts.residual_scale))
        return out


class ResPostNormBlock(_Block):
    """A block with a norm of the output of each part, before it is added.

    Source: Liu et al. 2022 (Swin Transformer V2), section 3.2; OLMo 2, 2024, section 3.
    """

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts; see `_Block`."""
        x = torch.add(x, parts.ln1(parts.sa(x, context, cache)), alpha=parts.residual_scale)
        return torch.add(x, parts.ln2(parts.fwd(x)), alpha=parts.residual_scale)


class SandwichNormBlock(_Block):
    """A block with a norm before each part and one of its output.

    Source: Ding et al. 2021 (CogView), section 2.4; Gemma 2, 2024.
    """

    norms = BLOCK_NORMS["sandwich_norm"]

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts; see `_Block`."""
        mixed = parts.ln1_post(parts.sa(parts.ln1(x), context, cache))
        x = torch.add(x, mixed, alpha=parts.residual_scale)
        return torch.add(x, parts.ln2_post(parts.fwd(parts.ln2(x))), alpha=parts.residual_scale)


class ParallelBlock(_Block):
    """A block whose parts see the same input, with one norm before both.

    Source: Wang and Komatsuzaki 2021 (GPT-J).
    """

    norms = BLOCK_NORMS["parallel"]

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts; see `_Block`."""
        normed = parts.ln1(x)
        mixed = torch.add(x, parts.sa(normed, context, cache), alpha=parts.residual_scale)
        return torch.add(mixed, parts.fwd(normed), alpha=parts.residual_scale)


class ParallelTwoNormsBlock(_Block):
    """A block whose parts see the same input, each through a norm of its own.

    Source: Black et al. 2022 (GPT-NeoX-20B), section 2.1.
    """

    @staticmethod
    def combine(parts: Any, x: Tensor, context: Context, cache: AttentionCache | None) -> Tensor:
        """Apply the parts; see `_Block`."""
        mixed = torch.add(x, parts.sa(parts.ln1(x), context, cache), alpha=parts.residual_scale)
        return torch.add(mixed, parts.fwd(parts.ln2(x)), alpha=parts.residual_scale)
