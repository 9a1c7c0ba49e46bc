"""Register the built-in architecture parts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mypt.format import layout
from mypt.format.documents.config import GATED
from mypt.format.rules.plugin_settings import CROSS_ENTROPY
from mypt.plugins import LossFactory, PartFactory, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins import TokenLoss
    from mypt.plugins.contracts.factory import Options

PARTS = "mypt.model.parts"
# slot and name -> module, and the builder there
BUILDERS = {
    ("pos_encoding", "learned"): (f"{PARTS}.position", "LearnedPositions"),
    ("pos_encoding", "rope"): (f"{PARTS}.position", "RotaryPositions"),
    ("attention_type", "causal"): (f"{PARTS}.attention", "CausalAttention"),
    **{("mlp_type", name): (f"{PARTS}.mlp", "TwoLayerMlp") for name in layout.TWO_LAYER},
    **{("mlp_type", name): (f"{PARTS}.mlp", "GatedMlp") for name in GATED},
    ("norm_type", "layernorm"): (f"{PARTS}.norm", "make_norm"),
    ("norm_type", "rmsnorm"): (f"{PARTS}.norm", "make_norm"),
    ("block_type", "pre_norm"): (f"{PARTS}.block", "PreNormBlock"),
    ("block_type", "post_norm"): (f"{PARTS}.block", "PostNormBlock"),
    ("block_type", "res_post_norm"): (f"{PARTS}.block", "ResPostNormBlock"),
    ("block_type", "sandwich_norm"): (f"{PARTS}.block", "SandwichNormBlock"),
    ("block_type", "parallel"): (f"{PARTS}.block", "ParallelBlock"),
    ("block_type", "parallel_two_norms"): (f"{PARTS}.block", "ParallelTwoNormsBlock"),
    ("embedding_type", "token"): ("mypt.plugins.nn.embedding", "TokenEmbedding"),
    ("head_type", "linear"): ("mypt.plugins.nn.head", "LinearHead"),
    ("stack_type", "sequential"): (f"{PARTS}.stack", "SequentialStack"),
}

_CROSS_ENTROPY_OPTIONS = {
    "type": "object",
    "properties": {
        "z_loss": {"type": "number", "minimum": 0},
        "label_smoothing": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "additionalProperties": False,
}


@hookimpl
def mypt_losses() -> list[LossFactory]:
    """Offer the cross entropy."""
    return [LossFactory(CROSS_ENTROPY, _build_cross_entropy, options=_CROSS_ENTROPY_OPTIONS)]


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


def _make_lazy_builder(module: str, builder: str) -> Callable[..., nn.Module]:
    """Make a builder that imports the module, and so torch, only when a part is built."""

    def build(
        config: GPTConfig,
        layer: int | None,
        make_norm: Callable[[], nn.Module],
        make_block: Callable[[int], nn.Module],
    ) -> nn.Module:
        make = getattr(importlib.import_module(module), builder)
        part: nn.Module = layout.call_with_asked(
            make, config, layer=layer, make_norm=make_norm, make_block=make_block
        )
        return part

    return build


def _build_cross_entropy(options: Options) -> TokenLoss:
    from mypt.plugins.nn.token_loss import CrossEntropy

    return CrossEntropy(**{name: float(value) for name, value in options.items()})
