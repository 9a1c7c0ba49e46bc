"""llama2.c's `model_args` and the headers of its `.bin` files, expressed in mypt's config.

Source: `model.py` and `train.py` of llama2.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.nanogpt import LLAMA2_C
from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_layers,
    require_positive_int,
)
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.llama2c.bin_file import Header

# What llama2.c fixes in its code.
NORM_EPS, ROPE_THETA = 1e-5, 10000.0
_DEFAULTS: Mapping[str, Any] = {
    "n_kv_heads": None,
    "hidden_dim": None,
    "norm_eps": NORM_EPS,
    "dropout": 0.0,
}
_KEYS = KnownKeys(
    read=frozenset({*LLAMA2_C, *_DEFAULTS, "n_heads", "vocab_size", "max_seq_len"}),
)
_FIXED: Mapping[str, Any] = {
    "bias": False,
    "head_bias": False,
    "pos_encoding": "rope",
    "rope_theta": ROPE_THETA,
    "mlp_type": "swiglu",
    "norm_type": "rmsnorm",
}


def convert_model_args(args: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the fields of mypt's config, but for whether the head is tied.

    Args:
        args: The `model_args`.
        file: Name of the file, for messages.

    Raises:
        FormatError: There is one that mypt does not know, or it is not what it must be.
    """
    check_keys(args, _KEYS, file, "/model_args")
    given = {**_DEFAULTS, **args}
    width, heads = (require_positive_int(given, name, file) for name in ("dim", "n_heads"))
    groups = require_positive_int(given, "n_kv_heads", file, heads)
    if width % heads or heads % groups:
        what = f"is {width} with {heads} heads of queries and {groups} of keys, which do not divide"
        raise make_unsupported_error(file, "/model_args/dim", what, "restore the file")
    return {
        **_FIXED,
        "block_size": require_positive_int(given, "max_seq_len", file),
        "vocab_size": require_positive_int(given, "vocab_size", file),
        "n_embd": width,
        "n_head": heads,
        "n_kv_head": None if groups == heads else groups,
        "n_layer": require_layers(given, "n_layers", file),
        "mlp_hidden": _find_hidden(given, width, file),
        "norm_eps": given["norm_eps"],
        "dropout": given["dropout"] or 0.0,
    }


def convert_header(header: Header) -> dict[str, Any]:
    """Return the fields of mypt's config."""
    groups = header.n_kv_heads
    return {
        **_FIXED,
        "block_size": header.seq_len,
        "vocab_size": header.vocab_size,
        "n_embd": header.dim,
        "n_head": header.n_heads,
        "n_kv_head": None if groups == header.n_heads else groups,
        "n_layer": header.n_layers,
        "mlp_hidden": header.hidden_dim,
        "norm_eps": NORM_EPS,
        "dropout": 0.0,
        "tie_weights": header.is_shared,
    }


def _find_hidden(args: Mapping[str, Any], width: int, file: str) -> int:
    """Return the width inside the feed-forward part, which follows from a rule if it is not said.

    Source: `FeedForward` in llama2.c's `model.py`.
    """
    multiple = require_positive_int(args, "multiple_of", file)
    hidden = int(2 * (4 * width) / 3)
    return require_positive_int(args, "hidden_dim", file, -(-hidden // multiple) * multiple)
