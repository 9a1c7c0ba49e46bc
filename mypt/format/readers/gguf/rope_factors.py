"""Llama 3's scaling of rotary frequencies, which GGUF files hold as a divisor of each.

Converters compute the tensor `rope_freqs.weight` from the four numbers of the rule. Going back,
these are found up to a common factor of all but the first, on which the angles do not depend.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.config_parts.rope_scaling import RopeScaling

FACTORS = "rope_freqs.weight"
MAX_FACTORS = 1024  # heads are no wider; each may tell a rule, with which all are compared
# Of Llama 3.1 and its successors.
_ORIGINAL, _LOW, _HIGH = 8192, 1.0, 4.0
_MAX_BASE = 1e30  # beyond all that are in use; the lengths of a rule stay finite
_TOLERANCE = 2e-6  # divisors are of single precision
_CLOSE = 1e-5  # to 0 or 1, where a share is taken for that


def find_scaling(factors: Sequence[float], base: float) -> dict[str, Any] | None:
    """Return the `rope_scaling` that divides the frequencies by these; None if there is none.

    Args:
        factors: The divisor of each frequency.
        base: Base of the frequencies.
    """
    has_base = 1 <= base <= _MAX_BASE
    if not has_base or not factors or not all(1 <= factor < math.inf for factor in factors):
        return None
    most = round(max(factors), 4)
    frequencies = _list_frequencies(base, len(factors))
    for original, low, high in _list_rules(factors, frequencies, most):
        turns = (original * frequency / (2 * math.pi) for frequency in frequencies)
        found = (_divide(one, most, low, high) for one in turns)
        if all(map(_are_close, found, factors)):
            return {
                "kind": "llama3",
                "factor": most,
                "original_block_size": original,
                "low_freq_factor": low,
                "high_freq_factor": high,
            }
    return None


def _are_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE)


def _list_rules(
    factors: Sequence[float], frequencies: Sequence[float], most: float
) -> Iterator[tuple[int, float, float]]:
    """Yield original lengths with bounds that may be those of the rule, the likeliest first."""
    yield _ORIGINAL, _LOW, _HIGH
    if most == 1:
        return
    kept = [(1 / factor - 1 / most) / (1 - 1 / most) for factor in factors]
    for share, frequency in zip(kept, frequencies, strict=True):
        if _CLOSE < share < 1 - _CLOSE:  # with the usual bounds, one of these tells the length
            turns = _LOW + share * (_HIGH - _LOW)
            yield max(1, round(turns * 2 * math.pi / frequency)), _LOW, _HIGH
    turns_of = [_ORIGINAL * frequency / (2 * math.pi) for frequency in frequencies]
    for low, high in _find_bounds(list(zip(turns_of, kept, strict=True))):
        yield _ORIGINAL, low, high


def list_factors(config: GPTConfig, scaling: RopeScaling) -> list[float]:
    """Return the divisor of each frequency of a config with the scaling `llama3`."""
    length, low, high = (
        scaling.original_block_size,
        scaling.low_freq_factor or 0.0,
        scaling.high_freq_factor or 0.0,
    )
    frequencies = _list_frequencies(config.rope_theta, config.rotated_width // 2)
    return [_divide(length * f / (2 * math.pi), scaling.factor, low, high) for f in frequencies]


def _list_frequencies(base: float, count: int) -> list[float]:
    return [base ** (-index / count) for index in range(count)]


def _divide(turns: float, factor: float, low: float, high: float) -> float:
    """Return the divisor of a frequency with so many turns over the original length."""
    kept = min(1.0, max(0.0, (turns - low) / (high - low)))
    return 1 / (kept + (1 - kept) / factor)


def _find_bounds(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return bounds between which a frequency may go from divided to kept.

    How far one is kept is a straight line over its turns: two points are enough, which are those
    the farthest apart between the bounds, or one and the next one beyond them.

    Args:
        pairs: The turns of each frequency, falling, and how far it is kept, from 0 to 1.
    """
    between = [pair for pair in pairs if _CLOSE < pair[1] < 1 - _CLOSE]
    below = [(turns, 0.0) for turns, share in pairs if share <= _CLOSE][:1]
    above = [(turns, 1.0) for turns, share in pairs if share >= 1 - _CLOSE][-1:]
    lines = [[between[0], between[-1]]] if len(between) > 1 else []
    lines += [between[:1] + ends for ends in (below, above)] if between else [above + below]
    return [line for points in lines if len(points) == 2 and (line := _extend(*points))]


def _extend(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    """Return where the line through two points is 0, and where it is 1; None if it falls."""
    (first, share), (last, least) = one, other
    if first == last or share == least:
        return None
    slope = (share - least) / (first - last)
    if slope <= 0:
        return None
    low = first - share / slope
    high = low + 1 / slope
    return (low, high) if 0 < low < high else None
