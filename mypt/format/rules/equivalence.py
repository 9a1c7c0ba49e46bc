"""Whether two configs describe the same model, field by field."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.config_parts.rope_scaling import RopeScaling
from mypt.format.documents.convert import field_names
from mypt.format.schema.messages import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a config says by other fields as well.
_SKIPPED = GPTConfig.SETTINGS | {"bias", "requires"}
# What is nothing without a window; a model that has none differs in `sliding_window`.
_OF_WINDOWS = frozenset({"window_pattern", "rope_theta_sliding"})
# What is nothing where nothing rotates.
_OF_ROPE = frozenset({"rope_theta", "rope_scale", "rope_size", "rope_theta_sliding"})
# Numbers that differ by less are the same in the arithmetic of any model.
_PRECISION = 1e-12


def list_differences(one: GPTConfig, other: GPTConfig) -> list[str]:
    """Return the fields in which two configs describe other models, in the order of the config.

    Fields of how a model is trained do not count. Of the settings of plugins those count that the
    second config has a section for: others may be of a tokenizer.

    Args:
        one: A config.
        other: Another one, such as that of a class of another program.
    """
    skipped = _SKIPPED
    if not (_has_windows(one) and _has_windows(other)):
        skipped |= _OF_WINDOWS
    if "learned" in (one.pos_encoding, other.pos_encoding):
        skipped |= _OF_ROPE
    names = (name for name in field_names(GPTConfig) if name not in {*skipped, "plugins"})
    found = [name for name in names if not _is_same(_read(one, name), _read(other, name))]
    sections = other.plugins.items()
    is_set = all(one.plugins.get(package, {}) == section for package, section in sections)
    return found if is_set else [*found, "plugins"]


def format_meaning(config: GPTConfig, name: str) -> str:
    """Return what a field stands for: as documents have it, but for texts and a rope_scaling.

    Args:
        config: A config.
        name: Name of the field.
    """
    value = config.meaning_of(name)
    return str(value) if isinstance(value, (str, RopeScaling)) else format_value(value)


def _has_windows(config: GPTConfig) -> bool:
    return any(window is not None for window in _list_windows(config))


def _list_windows(config: GPTConfig) -> list[int | None]:
    """Return the window of each layer; one of all positions is none, but for its own rotation."""
    windows = [config.window_at(layer) for layer in range(config.n_layer)]
    if config.rope_theta_sliding is not None:
        return windows
    return [None if one is None or one >= config.block_size else one for one in windows]


def _read(config: GPTConfig, name: str) -> Any:
    """Return what a field says of the model: None where it says nothing."""
    layers = range(config.n_layer)
    windows = _list_windows(config)
    if name == "sliding_window":
        return next((window for window in windows if window is not None), None)
    if name == "window_pattern":
        return [window is not None for window in windows]
    if name == "rope_pattern":
        return [config.is_rotated(layer) for layer in layers]
    if name == "rope_theta_sliding":
        return _read_sliding_rotation(config)
    if name == "rope_size":  # of whole heads `head_size` says it
        return None if config.rotated_width == config.head_width else config.rotated_width
    return config.meaning_of(name)


def _read_sliding_rotation(config: GPTConfig) -> Sequence[Any]:
    """Return the rotation of windowed layers: base, linear scale, and rule."""
    if config.rope_theta_sliding is not None:
        return config.rope_theta_sliding, 1.0, None
    return config.rope_theta, config.rope_scale, config.rope_scaling


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=_PRECISION)
    return bool(one == other)
