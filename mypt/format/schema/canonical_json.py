"""JSON in its canonical form, so that equal values have equal bytes whoever writes them."""

from __future__ import annotations

import json
from typing import Any


def dump_canonical(value: Any) -> bytes:
    """Return a JSON value in the canonical form.

    Raises:
        ValueError: A number is not finite (a caller's bug).

    Source: RFC 8785.
    """
    return _dump(value).encode()


def _dump(value: Any) -> str:
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return f"{{{','.join(f'{_dump(name)}:{_dump(item)}' for name, item in ordered)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_dump, value))}]"
    if isinstance(value, float):
        return _format_float(value)
    return json.dumps(value, ensure_ascii=False)


def _format_float(value: float) -> str:
    """Return the shortest digits that read back as the number, written as ECMAScript does."""
    shortest = json.dumps(value, allow_nan=False)
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = shortest.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0").rstrip("0")
    if not digits:
        return "0"
    # The number is 0.DIGITS times ten to the power of `point`.
    point = len(whole) + int(exponent or 0)
    point -= len(whole + fraction) - len((whole + fraction).lstrip("0"))
    if 0 < point <= 21:
        text = digits.ljust(point, "0")
        return sign + text[:point] + (f".{text[point:]}" if text[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
