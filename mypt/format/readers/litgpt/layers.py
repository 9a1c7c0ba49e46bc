"""What differs between the layers of a litgpt model: rotation and windows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.readers.shared.fields import (
    make_unsupported_error,
    require_bool,
    require_layers,
    require_positive_int,
)
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADJUSTMENTS, _LENGTH = "rope_adjustments", "original_max_seq_len"
_LLAMA3 = ("low_freq_factor", "high_freq_factor")
_YARN = ("beta_fast", "beta_slow")
_RESTORE = "restore the file"


def convert_layers(held: Mapping[str, Any], head_size: int, file: str) -> dict[str, Any]:
    """Return the fields of mypt's config for rotation and windows.

    Args:
        held: A complete document.
        head_size: Width of a head.
        file: Its name, for messages.

    Raises:
        FormatError: A field is not what it must be, or mypt's config cannot express them.
    """
    layers = require_layers(held, "n_layer", file)
    windowed = _list_windowed(held, layers, file)
    fields: dict[str, Any] = {"pos_encoding": "rope"}
    if any(windowed):
        fields["sliding_window"] = require_positive_int(held, "sliding_window_size", file)
        if not all(windowed):
            fields["window_pattern"] = "".join("S" if is_in else "F" for is_in in windowed)
    rotated = int(_read_number(held, "rotary_percentage", file, 0.0) * head_size)
    if rotated == 0:
        return {**fields, "rope_pattern": "N"}
    is_odd = rotated % 2 == 1
    if rotated == 1 or rotated > head_size or (is_odd and is_interleaved(held, file)):
        what = f"rotates {rotated} of the {head_size} values of a head"
        raise make_unsupported_error(file, "/rotary_percentage", what, _RESTORE)
    if is_odd or rotated != head_size:
        fields["rope_size"] = rotated
    return {**fields, **_convert_rotation(held, windowed, file)}


def is_interleaved(held: Mapping[str, Any], file: str) -> bool:
    """Return whether neighbouring values of a head are rotated together.

    Raises:
        FormatError: The field is neither true nor false.
    """
    return require_bool(held, "rope_interleave", file)


def _list_windowed(held: Mapping[str, Any], layers: int, file: str) -> list[bool]:
    """Return whether each layer has a window."""
    if held["sliding_window_size"] is None:
        return [False] * layers
    if held["sliding_window_indices"] is not None:
        return _read_indices(held, "sliding_window_indices", layers, file)
    placing = held.get("sliding_window_layer_placing")
    if placing in (None, "all"):
        return [True] * layers
    # Old releases wrote 1 for all and 2 for every second layer, and read both as the latter.
    if placing in ("interleaved", 2) and placing is not True:
        return [layer % 2 == 0 for layer in range(layers)]
    what = f"is {placing!r}, which litgpt writes for all layers and reads as every second one"
    fix = "write `all` or `interleaved`, as the model was trained"
    raise make_unsupported_error(file, "/sliding_window_layer_placing", what, fix)


def _read_indices(held: Mapping[str, Any], name: str, layers: int, file: str) -> list[bool]:
    """Return a list of 0 and 1, one for each layer; more than there are layers are let go."""
    value = held[name]
    if value is None:
        return [True] * layers
    if not isinstance(value, list) or len(value) < layers:
        what = f"is not a list of one number for each of the {layers} layers"
        raise make_unsupported_error(file, f"/{name}", what, _RESTORE)
    kept = value[:layers]
    if any(type(number) is not int or number not in (0, 1) for number in kept):
        what = "holds something other than 0 and 1"
        raise make_unsupported_error(file, f"/{name}", what, _RESTORE)
    return [number == 1 for number in kept]


def _convert_rotation(held: Mapping[str, Any], windowed: list[bool], file: str) -> dict[str, Any]:
    base = _read_number(held, "rope_base", file)
    ratio = _read_number(held, "rope_condense_ratio", file)
    scaling = _convert_adjustments(held, ratio, file)
    if held["rope_local_base_freq"] is None:
        if held["rope_indices"] is not None:
            what = "is set, but rope_local_base_freq is null: litgpt does not compute with it"
            raise make_unsupported_error(file, "/rope_indices", what, _RESTORE)
        return {"rope_theta": base, **scaling}
    local = _read_number(held, "rope_local_base_freq", file)
    is_local = _read_indices(held, "rope_indices", len(windowed), file)
    if not any(is_local):
        return {"rope_theta": base, **scaling}
    if all(is_local):
        return {"rope_theta": local, "rope_scale": ratio}
    if is_local != windowed or ratio != 1.0:
        what = (
            "names other layers than those with a window"
            if is_local != windowed
            else f"has layers that rope_condense_ratio ({ratio:g}) applies to as well"
        )
        raise make_unsupported_error(file, "/rope_indices", what, "install a plugin that reads it")
    return {"rope_theta": base, "rope_theta_sliding": local, **scaling}


def _convert_adjustments(held: Mapping[str, Any], ratio: float, file: str) -> dict[str, Any]:
    """Return how frequencies are scaled: by a rule, or all of them by a factor."""
    adjustments, at = held[_ADJUSTMENTS], f"/{_ADJUSTMENTS}"
    if adjustments is None:
        return {"rope_scale": ratio}
    if not isinstance(adjustments, dict):
        raise make_unsupported_error(file, at, "is not a document", _RESTORE)
    if any(name in adjustments for name in _YARN):
        what = "is yarn, which litgpt computes otherwise than other programs, and mypt not at all"
        raise make_unsupported_error(file, at, what, "install a plugin that reads it")
    check_keys(adjustments, KnownKeys(frozenset({"factor", *_LLAMA3, _LENGTH})), file, at)
    if not any(name in adjustments for name in _LLAMA3):
        has_factor = "factor" in adjustments
        factor = _read_number(adjustments, "factor", file, at=at) if has_factor else 1.0
        return {"rope_scale": ratio * factor}
    length = require_positive_int(adjustments, _LENGTH, file)
    numbers = {n: _read_number(adjustments, n, file, at=at) for n in ("factor", *_LLAMA3)}
    rule = {"kind": "llama3", "original_block_size": length, **numbers}
    return {"rope_scale": ratio, "rope_scaling": rule}


def _read_number(
    document: Mapping[str, Any],
    name: str,
    file: str,
    least: float = math.nextafter(0.0, 1.0),
    *,
    at: str = "",
) -> float:
    """Return a finite number that is not below the least one."""
    value: Any = document.get(name)
    if type(value) not in (int, float) or not least <= value < math.inf:
        what = "is missing" if value is None else f"is {value!r}, not a positive number"
        raise make_unsupported_error(file, f"{at}/{name}", what, _RESTORE)
    return float(value)
