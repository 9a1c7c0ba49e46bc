"""Which architecture of llama.cpp a model is written for, and how.

An architecture can compute what a config says if the reader of GGUF makes of the description of the
model a config that means the same. Allowed are biases that the model lacks and the architecture
has: they are zero; another scale of attention, which is multiplied into the queries; and a number
that is added to the weights of norms, which is added to them for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.export.differences import FILE, UNSUPPORTED, explain_difference
from mypt.format.errors import ConfigError, FormatError, Problem
from mypt.format.layout import BUILT_IN, HEAD, expected_tensors, used_slots
from mypt.format.readers.gguf.architectures import ARCHITECTURES
from mypt.format.readers.gguf.model_keys import ModelKeys
from mypt.format.readers.gguf.rope_factors import list_factors
from mypt.format.readers.gguf.tensor_names import HEAD_NAME, make_lookup
from mypt.format.readers.hugging_face.own_config import BIASES, SCALE, scale_queries
from mypt.format.readers.shared.tensor_map import make_config
from mypt.format.readers.shared.tensor_source import source_shapes
from mypt.format.rules.equivalence import list_differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


@frozen(kw_only=True)
class _Fit:
    """What an architecture computes of what a config says.

    Attributes:
        architecture: The architecture.
        keys: The description of the model.
        config: What the architecture computes; None if it cannot be described at all.
        differing: The fields that mean something else, apart from `added`.
        added: Fields of the biases that the architecture has and the model lacks.
    """

    architecture: Architecture
    keys: Mapping[str, Any]
    config: GPTConfig | None
    differing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @property
    def is_folded(self) -> bool:
        """Whether another scale is folded into the queries, which no norm undoes afterwards."""
        return (
            self.config is not None and self.differing == (SCALE,) and self.config.qk_norm is None
        )

    @property
    def is_usable(self) -> bool:
        """Whether the architecture computes the same."""
        return self.config is not None and (not self.differing or self.is_folded)

    @property
    def cost(self) -> tuple[bool, int, int]:
        """What is least for the one to choose, and for the nearest one if there is none."""
        count = len(self.differing) if self.config is not None else 1000
        return not self.is_usable, count, len(self.added)


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
    fit = _find_best(_settle_norms(config))
    if fit.is_usable:
        return []
    if fit.config is None:
        what = "describe a model that no architecture of llama.cpp can have"
        return [Problem(FILE, "", what, "use mypt itself", kind=UNSUPPORTED)]
    nearest = f"{fit.architecture.name}, the nearest architecture of llama.cpp,"
    return [explain_difference(field, config, fit.config, nearest) for field in fit.differing]


def describe(config: GPTConfig) -> LlamaCppModel:
    """Return a model for the architecture that can compute it, of several the first.

    Args:
        config: A config for which `explain` returns nothing.
    """
    settled = _settle_norms(config)
    fit = _find_best(settled)
    theirs = settled if fit.config is None else fit.config
    find_source = make_lookup(theirs, fit.architecture.order)
    notes = []
    if fit.is_folded:
        notes.append("the scale of attention is multiplied into the queries")
        find_source = scale_queries(find_source, settled, theirs)
    wanted, held = expected_tensors(theirs, BUILT_IN), expected_tensors(config, BUILT_IN)
    zeros: dict[str, Shape] = {}
    for name, shape in wanted.items():
        zeros |= {} if name in held else source_shapes(find_source(name), shape)
    is_shared = config.tie_weights and fit.architecture.ties != "never"
    scaling = config.rope_scaling
    factors = list_factors(config, scaling) if scaling and scaling.kind == _LLAMA3 else ()
    return LlamaCppModel(
        architecture=fit.architecture,
        keys=fit.keys,
        sources={name: find_source(name) for name in held if not (name == HEAD and is_shared)},
        zeros=zeros,
        factors=factors,
        norm_offset=config.norm_offset - settled.norm_offset,
        notes=tuple(notes),
    )


def _settle_norms(config: GPTConfig) -> GPTConfig:
    """Return the config of the model whose norms have what is added to their weights in them."""
    return evolve(config, norm_offset=0.0) if config.has_norm_weight else config


def _find_best(config: GPTConfig) -> _Fit:
    fits = [_compare(config, one) for one in ARCHITECTURES.values() if not one.reason]
    return min(fits, key=lambda fit: fit.cost)


def _compare(config: GPTConfig, architecture: Architecture) -> _Fit:
    """Compare what a config says with what the reader makes of its description."""
    keys = architecture.describe(config)
    try:
        shapes = _list_shapes(config, architecture)
        fields = architecture.convert_config(ModelKeys(architecture.name, keys, FILE), shapes)
        if architecture.ties == "never":  # then the matrix is written twice
            fields["tie_weights"] = config.tie_weights
        theirs = make_config(fields, FILE)[1]
    except (ConfigError, FormatError):
        return _Fit(architecture=architecture, keys=keys, config=None)
    scaling = config.rope_scaling
    if architecture.takes_factors and scaling is not None and scaling.kind == _LLAMA3:
        theirs = evolve(theirs, rope_scaling=scaling)  # a tensor says it
    differing = list_differences(config, theirs)
    added = [field for field in BIASES if field in differing and theirs.meaning_of(field)]
    return _Fit(
        architecture=architecture,
        keys=keys,
        config=theirs,
        differing=tuple(field for field in differing if field not in added),
        added=tuple(added),
    )


def _list_shapes(config: GPTConfig, architecture: Architecture) -> dict[str, Shape]:
    """Return the shapes of the tensors that a file of the architecture would have, by name."""
    find_source = make_lookup(config, architecture.order)
    shapes: dict[str, Shape] = {}
    for name, shape in expected_tensors(config, BUILT_IN).items():
        shapes |= source_shapes(find_source(name), shape)
    if config.tie_weights:
        shapes.pop(HEAD_NAME, None)
    return shapes
