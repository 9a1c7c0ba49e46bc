"""The sizes of a model under the names that most classes of `transformers` use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_layers,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig

SIZE_KEYS = frozenset(
    {
        "max_position_embeddings",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
    }
)


def convert_sizes(hf_config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return mypt's fields for the sizes; `head_dim` counts if the config has it.

    Args:
        hf_config: The complete config.
        file: Name of the file, for messages.

    Raises:
        FormatError: One is no positive whole number, or the heads cannot share keys evenly.
    """
    width = require_positive_int(hf_config, "hidden_size", file)
    heads = require_positive_int(hf_config, "num_attention_heads", file)
    groups = require_positive_int(hf_config, "num_key_value_heads", file, heads)
    if heads % groups:
        what = f"is {groups}, which does not divide the {heads} heads"
        raise make_unsupported_error(file, "/num_key_value_heads", what, "restore the file")
    size = require_positive_int(hf_config, "head_dim", file, width // heads)
    return {
        "block_size": require_positive_int(hf_config, "max_position_embeddings", file),
        "vocab_size": require_positive_int(hf_config, "vocab_size", file),
        "n_embd": width,
        "n_head": heads,
        "n_kv_head": None if groups == heads else groups,
        "n_layer": require_layers(hf_config, "num_hidden_layers", file),
        "head_size": None if size * heads == width else size,
        "mlp_hidden": require_positive_int(hf_config, "intermediate_size", file),
    }


def find_head_width(sizes: Mapping[str, Any]) -> int:
    """Return the width of one head, from the fields that `convert_sizes` returns."""
    width: int = sizes["head_size"] or sizes["n_embd"] // sizes["n_head"]
    return width


def describe_sizes(config: GPTConfig) -> dict[str, Any]:
    """Return the sizes of a model, `head_dim` included."""
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.block_size,
        "hidden_size": config.n_embd,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
    }
