"""Register the built-in architecture parts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mypt.format import layout
from mypt.format.documents.config import GATED
from mypt.plugins import PartFactory, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from mypt.format.documents.config import GPTConfig

# slot and name -> module in `mypt.model.parts` and the builder there
BUILDERS = {
    ("pos_encoding", "learned"): ("position", "LearnedPositions"),
    ("pos_encoding", "rope"): ("position", "RotaryPositions"),
    ("attention_type", "causal"): ("attention", "CausalAttention"),
    **{("mlp_type", name): ("mlp", "TwoLayerMlp") for name in layout.TWO_LAYER},
    **{("mlp_type", name): ("mlp", "GatedMlp") for name in GATED},
    ("norm_type", "layernorm"): ("norm", "LayerNorm"),
    ("norm_type", "rmsnorm"): ("norm", "RmsNorm"),
    ("block_type", "pre_norm"): ("block", "PreNormBlock"),
    ("block_type", "post_norm"): ("block", "PostNormBlock"),
    ("block_type", "res_post_norm"): ("block", "ResPostNormBlock"),
    ("block_type", "sandwich_norm"): ("block", "SandwichNormBlock"),
    ("block_type", "parallel"): ("block", "ParallelBlock"),
    ("block_type", "parallel_two_norms"): ("block", "ParallelTwoNormsBlock"),
}


@hookimpl
def mypt_parts() -> list[PartFactory]:
    """Return the built-in parts."""
    return [
        PartFactory(
            slot,
            name,
            build=_make_lazy_builder(*where),
            tensors=layout.BUILT_IN[slot, name].tensors,
            norms=layout.BUILT_IN[slot, name].norms,
        )
        for (slot, name), where in BUILDERS.items()
    ]


def _make_lazy_builder(module: str, builder: str) -> Callable[[GPTConfig], nn.Module]:
    """Make a builder that imports the module, and so torch, only when a part is built."""

    def build(config: GPTConfig) -> nn.Module:
        part: nn.Module = getattr(importlib.import_module(f"mypt.model.parts.{module}"), builder)(
            config
        )
        return part

    return build
