"""Which architecture of llama.cpp a model is written for, and how.

See `mypt.export.fit`. Allowed is also a number that is added to the weights of norms: it is added
to them for good.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.export.differences import FILE, UNSUPPORTED
from mypt.export.fit import FOLDED_NOTE, compare, list_zeros
from mypt.format.errors import Problem
from mypt.format.layout import BUILT_IN, HEAD, expected_tensors, used_slots
from mypt.format.readers.gguf.architectures import ARCHITECTURES
from mypt.format.readers.gguf.model_keys import ModelKeys
from mypt.format.readers.gguf.rope_factors import list_factors
from mypt.format.readers.gguf.tensor_names import HEAD_NAME, make_lookup
from mypt.format.readers.shared.tensor_map import make_config
from mypt.format.readers.shared.tensor_source import source_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.export.fit import Fit
    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Shape
    from mypt.format.readers.gguf.architecture import Architecture
    from mypt.format.readers.shared.tensor_source import TensorSource

_LLAMA3 = "llama3"


@frozen(kw_only=True)
class LlamaCppModel:
    """A model as an architecture of llama.cpp has it.

    Attributes:
        architecture: The architecture.
        keys: Its metadata, without the name of the architecture.
        sources: Where each tensor of the model stands in the file, by mypt's name.
        zeros: Shapes of biases that it has and the model lacks, by their names there.
        factors: The divisors of rotary frequencies; none if they are as they are.
        norm_offset: What is added to the weights of norms.
        notes: What is folded into other tensors, one line each.
    """

    architecture: Architecture
    keys: Mapping[str, Any]
    sources: Mapping[str, TensorSource]
    zeros: Mapping[str, Shape]
    factors: Sequence[float] = ()
    norm_offset: float = 0.0
    notes: tuple[str, ...] = ()


def explain(config: GPTConfig) -> list[Problem]:
    """Return why no architecture can compute what a config says; nothing if one can.

    The reasons are those of the architecture with the fewest.
    """
    foreign = [
        Problem(
            FILE,
            f"/{slot}",
            f"is {getattr(config, slot)}, a part of a plugin, which llama.cpp does not have",
            "use mypt itself, or train a model without it",
            kind=UNSUPPORTED,
        )
        for slot in used_slots(config, BUILT_IN)
        if (slot, getattr(config, slot)) not in BUILT_IN
    ]
    if foreign:
        return foreign
    architecture, _, fit = _find_best(_settle_norms(config))
    return fit.explain(architecture.name, "architecture of llama.cpp")


def describe(config: GPTConfig) -> LlamaCppModel:
    """Return a model for the architecture that can compute it, of several the first.

    Args:
        config: A config for which `explain` returns nothing.
    """
    settled = _settle_norms(config)
    architecture, keys, fit = _find_best(settled)
    theirs = fit.theirs or settled
    find_source = fit.find_source(make_lookup(theirs, architecture.order))
    held = expected_tensors(config, BUILT_IN)
    is_shared = config.tie_weights and architecture.ties != "never"
    scaling = config.rope_scaling
    factors = list_factors(config, scaling) if scaling and scaling.kind == _LLAMA3 else ()
    return LlamaCppModel(
        architecture=architecture,
        keys=keys,
        sources={name: find_source(name) for name in held if not (name == HEAD and is_shared)},
        zeros=list_zeros(expected_tensors(theirs, BUILT_IN), held, find_source),
        factors=factors,
        norm_offset=config.norm_offset - settled.norm_offset,
        notes=(FOLDED_NOTE,) if fit.is_folded else (),
    )


def _settle_norms(config: GPTConfig) -> GPTConfig:
    """Return the config of the model whose norms have what is added to their weights in them."""
    return evolve(config, norm_offset=0.0) if config.has_norm_weight else config


def _find_best(config: GPTConfig) -> tuple[Architecture, Mapping[str, Any], Fit]:
    """Return the architecture that fits best, the keys of the model, and how it fits."""
    found = []
    for architecture in ARCHITECTURES.values():
        if not architecture.reason:
            keys = architecture.describe(config)
            read = partial(_read_description, architecture, keys, config)
            found.append((architecture, keys, compare(config, read)))
    return min(found, key=lambda one: (one[2].cost, len(one[2].added)))


def _read_description(
    architecture: Architecture, keys: Mapping[str, Any], config: GPTConfig
) -> GPTConfig:
    shapes = _list_shapes(config, architecture)
    fields = architecture.convert_config(ModelKeys(architecture.name, keys, FILE), shapes)
    if architecture.ties == "never":  # then the matrix is written twice
        fields["tie_weights"] = config.tie_weights
    theirs = make_config(fields, FILE)[1]
    scaling = config.rope_scaling
    if architecture.takes_factors and scaling is not None and scaling.kind == _LLAMA3:
        return evolve(theirs, rope_scaling=scaling)  # a tensor says it
    return theirs


def _list_shapes(config: GPTConfig, architecture: Architecture) -> dict[str, Shape]:
    """Return the shapes of the tensors that a file of the architecture would have, by name."""
    find_source = make_lookup(config, architecture.order)
    shapes: dict[str, Shape] = {}
    for name, shape in expected_tensors(config, BUILT_IN).items():
        shapes |= source_shapes(find_source(name), shape)
    if config.tie_weights:
        shapes.pop(HEAD_NAME, None)
    return shapes
