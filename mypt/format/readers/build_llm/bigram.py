"""Express a table of logits by the last token (a bigram model) as a transformer without blocks.

The embedding is one-hot, the norm leaves it unchanged, and the output layer holds the table.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.readers.shared.fields import make_unsupported_error, require_positive_int
from mypt.format.tensors.transforms import constant_row, one_hot, transpose

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = EMBEDDING  # that program has the same name for it
_EPSILON = 1e-6
NOTE = (
    "the bigram table is the output layer of a model without blocks, over one-hot embeddings: the "
    "logits are the same, training from here is not"
)


def is_bigram(tensors: Mapping[str, Any]) -> bool:
    """Return whether a model consists of the table alone."""
    return set(tensors) == {TABLE}


def make_bigram_fields(contents: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the fields of mypt's config.

    Raises:
        FormatError: A size is missing.
    """
    vocab_size = require_positive_int(contents, "vocab_size", file)
    return {
        "block_size": require_positive_int(contents, "block_size", file),
        "vocab_size": vocab_size,
        "n_embd": vocab_size,
        "n_layer": 0,
        "n_head": 1,
        "head_size": 2,  # has no effect without blocks, but rope requires an even size
        "dropout": 0.0,
        "pos_encoding": "rope",  # no vector is added to the embedding
        "norm_type": "rmsnorm",
        "norm_eps": _EPSILON,
        "head_bias": False,
    }


def make_bigram_tensors(tensors: Mapping[str, Any], vocab_size: int, file: str) -> dict[str, Any]:
    """Return the tensors of the model without blocks.

    Raises:
        FormatError: The table is not (vocab_size, vocab_size).
    """
    table = tensors[TABLE]
    shape = tuple(table.shape)
    if shape != (vocab_size, vocab_size):
        what = f"has shape {shape}, not {(vocab_size, vocab_size)}, and is the only tensor"
        raise make_unsupported_error(file, TABLE, what, "restore the file")
    # the root mean square of a one-hot vector, as the norm computes it
    rms = math.sqrt(1 / vocab_size + _EPSILON)
    return {
        EMBEDDING: one_hot(table),
        "ln_f.weight": constant_row(table, rms),
        HEAD: transpose(table),
    }
