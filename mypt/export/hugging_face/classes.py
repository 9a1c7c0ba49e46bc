"""Which class of `transformers` a model is written for, and how.

A class can compute what a config says if the config that its family reads from the description of
the model means the same. Allowed are biases that the model lacks and the class has: they are zero;
and another scale of attention, which is multiplied into the queries.
"""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.export.differences import FILE, UNSUPPORTED, explain_difference
from mypt.format.documents.convert import to_recorded_document
from mypt.format.errors import ConfigError, FormatError, Problem
from mypt.format.layout import HEAD, expected_tensors
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.keys import OWN_CONFIG
from mypt.format.readers.hugging_face.own_config import BIASES, SCALE, scale_queries
from mypt.format.readers.shared.tensor_map import make_config
from mypt.format.readers.shared.tensor_source import source_shapes
from mypt.format.rules.equivalence import list_differences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Shape
    from mypt.format.readers.hugging_face.families.family import Family
    from mypt.format.readers.shared.tensor_source import TensorSource


@frozen(kw_only=True)
class ClassModel:
    """A model as a class of `transformers` has it.

    Attributes:
        hf_config: Its `config.json`, but for what depends on dtypes and tokens; mypt's own config
            included.
        sources: Where each of the model's tensors stands in it, by mypt's name, without a tied
            head.
        zeros: Shapes of biases that it has and the model lacks, by their names there.
        notes: What is folded into other tensors, one line each.
    """

    hf_config: Mapping[str, Any]
    sources: Mapping[str, TensorSource]
    zeros: Mapping[str, Shape]
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class _Fit:
    """What a class computes of what a config says.

    Attributes:
        family: Its family.
        hf_config: The description of the model.
        config: What the class computes; None if it cannot be described at all.
        differing: The fields that mean something else, apart from `added`.
        added: Fields of the biases that the class has and the model lacks.
        why: Why it cannot be described.
    """

    family: Family
    hf_config: Mapping[str, Any]
    config: GPTConfig | None
    differing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    why: str = ""

    @property
    def is_folded(self) -> bool:
        """Whether another scale is folded into the queries, which no norm undoes afterwards."""
        return (
            self.config is not None and self.differing == (SCALE,) and self.config.qk_norm is None
        )

    @property
    def is_usable(self) -> bool:
        """Whether the class computes the same."""
        return self.config is not None and (not self.differing or self.is_folded)

    @property
    def cost(self) -> tuple[bool, int, bool]:
        """What is least for the class to choose, and for the nearest one if there is none."""
        count = len(self.differing) if self.config is not None else 1000
        return not self.is_usable, count, bool(self.added)


def explain(config: GPTConfig) -> list[Problem]:
    """Return why no class can compute what a config says; nothing if one can.

    The reasons are those of the class with the fewest.
    """
    fit = _find_best(config)
    name = fit.family.classes[0]
    if fit.is_usable:
        return []
    if fit.config is None:
        what = f"describe a model that {name} cannot have: {fit.why}"
        return [Problem(FILE, "", what, "use mypt itself", kind=UNSUPPORTED)]
    nearest = f"{name}, the nearest class of transformers,"
    return [explain_difference(field, config, fit.config, nearest) for field in fit.differing]


def describe(config: GPTConfig) -> ClassModel:
    """Return a model for the class that can compute it, of several the first that adds least.

    Args:
        config: A config for which `explain` returns nothing.
    """
    fit = _find_best(config)
    theirs, family = fit.config or config, fit.family
    complete = {**family.defaults, **fit.hf_config}
    find_source = family.make_lookup(theirs, family.prefix, complete)
    notes = []
    if fit.is_folded:
        notes.append("the scale of attention is multiplied into the queries")
        find_source = scale_queries(find_source, config, theirs)
    wanted = expected_tensors(theirs, family.layouts)
    held = expected_tensors(config, family.layouts)
    zeros = [source_shapes(find_source(n), shape) for n, shape in wanted.items() if n not in held]
    return ClassModel(
        hf_config={
            "architectures": [family.classes[0]],
            "model_type": family.model_type,
            "pad_token_id": None,  # by default some classes have one beyond a small vocabulary
            **fit.hf_config,
            OWN_CONFIG: to_recorded_document(config),
        },
        sources={n: find_source(n) for n in held if not (n == HEAD and config.tie_weights)},
        zeros=dict(ChainMap(*zeros)),
        notes=tuple(notes),
    )


def _find_best(config: GPTConfig) -> _Fit:
    fits = [
        _compare(config, family, family.describe(config))
        for family in FAMILIES.values()
        if family.describe is not None
    ]
    return min(fits, key=lambda fit: fit.cost)


def _compare(config: GPTConfig, family: Family, described: Mapping[str, Any]) -> _Fit:
    """Compare what a config says with what a family reads of its description."""
    try:
        fields = family.convert_config({**family.defaults, **described}, FILE)
        tied = {"tie_weights": config.tie_weights}
        _, theirs = make_config({**fields, **tied}, FILE, family.layouts)
    except (ConfigError, FormatError) as error:
        why = str(error.problems[0])
        return _Fit(family=family, hf_config=described, config=None, why=why)
    differing = list_differences(config, theirs)
    added = [field for field in BIASES if field in differing and theirs.meaning_of(field)]
    return _Fit(
        family=family,
        hf_config=described,
        config=theirs,
        differing=tuple(field for field in differing if field not in added),
        added=tuple(added),
    )
