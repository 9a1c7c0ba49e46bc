"""Which class of `transformers` a model is written for, and how; see `mypt.export.fit`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.export.differences import FILE
from mypt.export.fit import FOLDED_NOTE, compare, list_zeros
from mypt.format.documents.convert import to_recorded_document
from mypt.format.layout import HEAD, expected_tensors
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.keys import OWN_CONFIG
from mypt.format.readers.hugging_face.tokenizer.classes import keeps_words
from mypt.format.readers.shared.tensor_map import make_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.export.fit import Fit
    from mypt.format.documents.config import GPTConfig
    from mypt.format.errors import Problem
    from mypt.format.layout import Shape
    from mypt.format.readers.hugging_face.families.family import Family, HFConfig
    from mypt.format.readers.shared.tensor_source import TensorSource

_OPEN_AS_IT_IS = "open the tokenizer with PreTrainedTokenizerFast.from_pretrained"


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


def explain(config: GPTConfig) -> list[Problem]:
    """Return why no class can compute what a config says; nothing if one can.

    The reasons are those of the class with the fewest.
    """
    family, _, fit = _find_best(config)
    return fit.explain(family.classes[0], "class of transformers")


def describe(config: GPTConfig, tokenizer: Mapping[str, Any] | None = None) -> ClassModel:
    """Return a model for the first class that can compute it, or that can without more biases.

    Args:
        config: A config for which `explain` returns nothing.
        tokenizer: Its `tokenizer.json`; a class whose folders have another, whatever is in them,
            comes last.
    """
    family, described, fit = _find_best(config, tokenizer)
    notes = [FOLDED_NOTE] if fit.is_folded else []
    if not _keeps_tokens(family, tokenizer):
        notes.append(f"AutoTokenizer makes other ids for {family.classes[0]}: {_OPEN_AS_IT_IS}")
    theirs = fit.theirs or config
    complete = {**family.defaults, **described}
    find_source = fit.find_source(family.make_lookup(theirs, family.prefix, complete))
    held = expected_tensors(config, family.layouts)
    return ClassModel(
        hf_config={
            "architectures": [family.classes[0]],
            "model_type": family.model_type,
            "pad_token_id": None,  # by default some classes have one beyond a small vocabulary
            **described,
            OWN_CONFIG: to_recorded_document(config),
        },
        sources={n: find_source(n) for n in held if not (n == HEAD and config.tie_weights)},
        zeros=list_zeros(expected_tensors(theirs, family.layouts), held, find_source),
        notes=tuple(notes),
    )


def _keeps_tokens(family: Family, tokenizer: Mapping[str, Any] | None) -> bool:
    """Return whether `AutoTokenizer` makes the ids of the model in a folder of the family."""
    return tokenizer is None or keeps_words(family.model_type, tokenizer)


def _find_best(
    config: GPTConfig, tokenizer: Mapping[str, Any] | None = None
) -> tuple[Family, HFConfig, Fit]:
    """Return the family that fits best, the description of the model, and how it fits."""
    found = list(_compare_all(config))

    def weigh(one: tuple[Family, HFConfig, Fit]) -> tuple[bool, bool, int, bool]:
        is_no_use, count = one[2].cost
        return is_no_use, not _keeps_tokens(one[0], tokenizer), count, bool(one[2].added)

    return min(found, key=weigh)


def list_lookups(config: GPTConfig) -> Iterator[Mapping[str, TensorSource]]:
    """Yield for each class that computes what a config says where it has each tensor."""
    for family, described, fit in _compare_all(config):
        if fit.is_usable and fit.theirs is not None:
            complete = {**family.defaults, **described}
            find = fit.find_source(family.make_lookup(fit.theirs, family.prefix, complete))
            yield {name: find(name) for name in expected_tensors(config, family.layouts)}


def _compare_all(config: GPTConfig) -> Iterator[tuple[Family, HFConfig, Fit]]:
    """Yield each family that is written, the description of the model, and how it fits."""
    for family in FAMILIES.values():
        if family.describe is not None:
            described = family.describe(config)
            read = partial(_read_description, family, described, config.tie_weights)
            yield family, described, compare(config, read)


def _read_description(family: Family, described: HFConfig, tied: bool) -> GPTConfig:
    fields = family.convert_config({**family.defaults, **described}, FILE)
    return make_config({**fields, "tie_weights": tied}, FILE, family.layouts)[1]
