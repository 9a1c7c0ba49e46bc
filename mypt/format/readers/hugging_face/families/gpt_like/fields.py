"""Fields that all families of GPT's kind have, under whatever names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_layers,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    HFConfig = Mapping[str, Any]


# Of heads for other tasks, whose tensors would be refused.
SUMMARY = (
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
)
# GPT-2's names of sizes by mypt's, and other names that its class takes; GPT-J has them as well.
GPT2_SIZES = {
    "block_size": "n_positions",
    "n_embd": "n_embd",
    "n_head": "n_head",
    "n_layer": "n_layer",
}
GPT2_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}


def take_sizes(hf_config: HFConfig, file: str, **names: str) -> dict[str, Any]:
    """Return sizes under mypt's names, that of the vocabulary included.

    Args:
        hf_config: The complete config.
        file: Name of its file, for messages.
        names: The family's name of each size, by mypt's.

    Raises:
        FormatError: One is missing, or is no positive whole number.
    """
    sizes = {
        ours: (require_layers if ours == "n_layer" else require_positive_int)(
            hf_config, theirs, file
        )
        for ours, theirs in names.items()
    }
    return {"vocab_size": require_positive_int(hf_config, "vocab_size", file), **sizes}


def note_dropouts(taken: str, *others: str) -> Callable[[HFConfig], list[str]]:
    """Return a function that returns a note where a config has dropout.

    Args:
        taken: The key that becomes mypt's `dropout`.
        others: The other keys of dropout.
    """

    def list_notes(hf_config: HFConfig) -> list[str]:
        if not any(hf_config[name] for name in (taken, *others)):
            return []
        return [f"dropout is `{taken}`, for attention as well; embeddings have no dropout"]

    return list_notes


def require_false(hf_config: HFConfig, refused: Mapping[str, str], file: str) -> None:
    """Raise if a model has what mypt's config cannot express.

    Args:
        hf_config: The complete config.
        refused: What a key adds to the model where it is set, by its name.
        file: Name of its file, for messages.

    Raises:
        FormatError: One is set.
    """
    for name, what in refused.items():
        if hf_config.get(name):
            what = f"{what}, which mypt's config cannot express"
            raise make_unsupported_error(file, f"/{name}", what, "install a plugin that reads it")
