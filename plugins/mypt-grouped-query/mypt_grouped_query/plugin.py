"""Register the part with mypt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.plugins import PartFactory, hookimpl
from mypt_grouped_query.layout import OPTIONS, grouped_attention

if TYPE_CHECKING:
    from torch import nn

    from mypt.plugins import GPTConfig


@hookimpl
def mypt_parts() -> list[PartFactory]:
    """Offer the attention `grouped_query`."""
    return [
        PartFactory(
            "attention_type",
            "grouped_query",
            build=_build,
            tensors=grouped_attention,
            options=OPTIONS,
        )
    ]


def _build(config: GPTConfig) -> nn.Module:
    from mypt_grouped_query.attention import GroupedQueryAttention

    return GroupedQueryAttention(config)
