"""Which layers attend to a window, and which rotate: lists of layers and mypt's patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_layers,
    require_positive_int,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.format.documents.config import GPTConfig

_TYPES = {"sliding_attention": True, "full_attention": False}


def read_layer_types(
    hf_config: Mapping[str, Any], file: str, default: Sequence[bool]
) -> Sequence[bool]:
    """Return for each layer whether it is windowed: from `layer_types`, if the config has it.

    Args:
        hf_config: The complete config.
        file: Name of the file, for messages.
        default: What the class does without it, one value per layer.

    Raises:
        FormatError: It does not name a known type for each layer.
    """
    types = hf_config.get("layer_types")
    if types is None:
        return default
    if not isinstance(types, list) or len(types) != len(default):
        what = f"is not a list of the types of the {len(default)} layers"
        raise make_unsupported_error(file, "/layer_types", what, "restore the file")
    unknown = [kind for kind in types if kind not in _TYPES]
    if unknown:
        what = f"has {unknown[0]!r}; mypt has {' and '.join(_TYPES)}"
        raise make_unsupported_error(file, "/layer_types", what, "install a plugin that reads it")
    return [_TYPES[kind] for kind in types]


def convert_windows(
    hf_config: Mapping[str, Any], file: str, windowed: Sequence[bool]
) -> dict[str, Any]:
    """Return mypt's fields for windows of `sliding_window` positions.

    Args:
        hf_config: The complete config.
        file: Name of the file, for messages.
        windowed: Whether each layer is windowed.

    Raises:
        FormatError: A layer is windowed, and the window is no positive whole number.
    """
    if not any(windowed):
        return {}
    return {
        "sliding_window": require_positive_int(hf_config, "sliding_window", file),
        "window_pattern": make_pattern(windowed, "SF"),
    }


def convert_single_window(hf_config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return mypt's fields for a window of all layers, or for none if it is null.

    Raises:
        FormatError: `layer_types`, which the class does not read, says otherwise.
    """
    layers = require_layers(hf_config, "num_hidden_layers", file)
    windowed = [hf_config["sliding_window"] is not None] * layers
    if list(read_layer_types(hf_config, file, windowed)) != windowed:
        what = "contradicts sliding_window, which holds for all layers of this class"
        raise make_unsupported_error(file, "/layer_types", what, "remove it")
    return convert_windows(hf_config, file, windowed)


def make_pattern(layers: Sequence[bool], letters: str) -> str | None:
    """Return the shortest pattern whose repetition says of each layer whether it is so.

    Args:
        layers: Whether it is, by layer.
        letters: The letters for yes and for no.

    Returns:
        None if it is so for all.
    """
    if all(layers):
        return None
    whole = "".join(letters[0] if layer else letters[1] for layer in layers)
    count = len(whole)
    lengths = range(1, count + 1)
    return next(whole[:n] for n in lengths if (whole[:n] * (count // n + 1))[:count] == whole)


def list_layer_types(config: GPTConfig) -> list[str]:
    """Return `layer_types` of a model."""
    windows = (config.window_at(layer) for layer in range(config.n_layer))
    return ["full_attention" if window is None else "sliding_attention" for window in windows]
