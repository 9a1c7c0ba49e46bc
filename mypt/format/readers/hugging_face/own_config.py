"""The way back of a model that mypt wrote: its own config, which comes with that of the class.

The class has biases that the model lacks, which were written as zeros, or another scale of
attention, which was multiplied into the queries. What else the own config says is only looked at:
it must not contradict the config of the class.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.config import BIAS_FIELDS
from mypt.format.errors import FormatError, Problem
from mypt.format.layout import expected_tensors
from mypt.format.readers.hugging_face.keys import OWN_CONFIG
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.shared.tensor_map import make_config
from mypt.format.readers.shared.tensor_source import SCALE_FIELD
from mypt.format.rules.equivalence import format_meaning, list_differences
from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.transforms import has_zero_bits
from mypt.format.tensors.weights_file import has_zero_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts
    from mypt.format.readers.hugging_face.families.family import HFConfig
    from mypt.format.readers.shared.tensor_source import TensorSource

_FIX = f"remove the key `{OWN_CONFIG}`, if the rest was changed on purpose"


def read_own_config(
    hf_config: HFConfig, config: GPTConfig, file: str, layouts: Layouts
) -> GPTConfig:
    """Return mypt's own config of a model, as far as it says nothing but what is allowed.

    Args:
        hf_config: The complete config of the class.
        config: What the class computes.
        file: Name of the config, for messages.
        layouts: The parts that the reader knows.

    Returns:
        `config` if there is no other.

    Raises:
        FormatError: It is invalid, or contradicts the config of the class.
    """
    held = hf_config.get(OWN_CONFIG)
    if held is None:
        return config
    where = f"{file}#/{OWN_CONFIG}"
    if not isinstance(held, dict):
        raise make_unsupported_error(file, f"/{OWN_CONFIG}", "is not an object", _FIX)
    own = make_config(held, where, layouts)[1]
    tied: dict[str, Any] = {"tie_weights": config.tie_weights}
    if own.tie_weights == hf_config["tie_word_embeddings"]:
        own = evolve(own, **tied)  # the stored tensors decide
    problems = [
        Problem(
            file,
            f"/{OWN_CONFIG}/{field}",
            f"is {format_meaning(own, field)}, but the class computes with "
            f"{format_meaning(config, field)}",
            _FIX,
            kind="foreign.own_config",
        )
        for field in list_differences(own, config)
        if not (field in BIAS_FIELDS and config.meaning_of(field))
        and not (field == SCALE_FIELD and config.qk_norm is None)
    ]
    if problems:
        raise FormatError(*problems)
    factor = own.attention_scale / config.attention_scale
    if math.frexp(factor)[0] != 0.5:  # no power of two: what was rounded stays folded
        own = evolve(own, attn_scale=config.attn_scale)
    return own


def drop_zero_biases(
    own: GPTConfig,
    config: GPTConfig,
    sources: Mapping[str, TensorSource],
    is_zero: Callable[[str], bool],
    layouts: Layouts,
) -> GPTConfig:
    """Return the config of a model, without the biases that it lacks and that are zero.

    One that is not zero is kept, whatever its own config says: it was trained elsewhere since.

    Args:
        own: mypt's own config, or `config`.
        config: What the class computes.
        sources: The source of each tensor of `config`.
        is_zero: Returns whether a tensor of the file is zero, by its name there.
        layouts: The parts that the reader knows.
    """
    for field in (name for name in list_differences(own, config) if name in BIAS_FIELDS):
        without: dict[str, Any] = {field: False}
        kept = expected_tensors(evolve(config, **without), layouts)
        gone = [name for name in sources if name not in kept]
        if not all(is_zero(place) for name in gone for place in sources[name].names):
            trained: dict[str, Any] = {field: True}
            own = evolve(own, **trained)
    return own


def is_zero(tensor: Any, path: Path) -> bool:
    """Return whether a tensor has only zeros.

    Args:
        tensor: The tensor, or its description.
        path: The file that holds it.
    """
    is_described = isinstance(tensor, TensorInfo)
    return has_zero_bytes(path, tensor) if is_described else has_zero_bits(tensor)
