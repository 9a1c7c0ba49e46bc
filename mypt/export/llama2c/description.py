"""The header that llama2.c has for a model, and why it can have none.

llama2.c can compute what a config says if the reader of its header makes a config that means the
same. Another scale of attention is allowed, which is multiplied into the queries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.export.differences import FILE, UNSUPPORTED, explain_difference, list_implied
from mypt.format.errors import ConfigError, FormatError, Problem
from mypt.format.readers.llama2c.bin_file import Header
from mypt.format.readers.llama2c.model_args import convert_header
from mypt.format.readers.shared.tensor_map import make_config
from mypt.format.readers.shared.tensor_source import SCALE_FIELD
from mypt.format.rules.equivalence import list_differences

if TYPE_CHECKING:
    from mypt.format.documents.config import GPTConfig

DEFAULT_GROUP = 64  # of llama2.c's `export.py`


@frozen
class Description:
    """A model as llama2.c has it.

    Attributes:
        header: Its header.
        config: What llama2.c computes with it.
        differing: The fields in which that means something else, apart from the scale of attention.
    """

    header: Header
    config: GPTConfig
    differing: tuple[str, ...]


def explain(config: GPTConfig) -> list[Problem]:
    """Return why llama2.c cannot compute what a config says; nothing if it can."""
    try:
        found = describe(config)
    except (ConfigError, FormatError) as error:
        what = f"describes a model that llama2.c cannot have: {error.problems[0]}"
        return [Problem(FILE, "", what, "use mypt itself", kind=UNSUPPORTED)]
    return [explain_difference(f, config, found.config, "llama2.c") for f in found.differing]


def describe(config: GPTConfig, version: int = 0, group_size: int = DEFAULT_GROUP) -> Description:
    """Return a model as llama2.c has it, compared with the model.

    Args:
        config: Its config.
        version: Of the form of the file.
        group_size: Of version 2, how many values have a scale together at most.

    Raises:
        FormatError: No model of llama2.c has such sizes.
    """
    header = Header(
        version=version,
        dim=config.n_embd,
        hidden_dim=config.mlp_width,
        n_layers=config.n_layer,
        n_heads=config.n_head,
        n_kv_heads=config.kv_heads,
        vocab_size=config.vocab_size,
        seq_len=config.block_size,
        is_shared=config.tie_weights,
        group_size=_fit_group(config, group_size) if version == 2 else 0,
    )
    _, theirs = make_config(convert_header(header), FILE)
    skipped = {SCALE_FIELD} | list_implied(config, theirs)
    differing = [name for name in list_differences(config, theirs) if name not in skipped]
    return Description(header, theirs, tuple(differing))


def _fit_group(config: GPTConfig, group_size: int) -> int:
    """Return the largest group, halved as often as needed, that divides the rows of all matrices.

    `runq.c` quantizes what it multiplies them with in the same groups.
    """
    width = math.gcd(config.n_embd, config.mlp_width)
    while width % group_size:
        group_size //= 2
    if group_size == 1:
        what = f"is {config.mlp_width}, which does not divide into groups of values with one scale"
        fix = "write version 0, or train a model with an even one"
        raise FormatError(Problem(FILE, "/mlp_hidden", what, fix, kind=UNSUPPORTED))
    return group_size
