"""Register the part with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.plugins import PartFactory, hookimpl
from mypt_alibi.settings import OPTIONS

if TYPE_CHECKING:
    from torch import nn

    from mypt.plugins import GPTConfig


@hookimpl
def mypt_parts() -> list[PartFactory]:
    """Offer the position encoding `alibi`."""
    return [PartFactory("pos_encoding", "alibi", build=_build, options=OPTIONS)]


def _build(config: GPTConfig) -> nn.Module:
    from mypt_alibi.positions import AlibiPositions

    return AlibiPositions(config)
