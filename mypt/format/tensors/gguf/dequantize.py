"""Compute the values of quantized blocks, with the bits that ggml computes.

Each function takes blocks, (n, size_bytes) uint8, and writes their values, (n, values) float32. A
block is small whole numbers with a scale, of the K types with a scale for each of 8 or 16 parts.
Products and sums are rounded one by one, as in ggml.

Source: `ggml-quants.c` of the ggml repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Dequantize = Callable[[Bytes, Floats], None]


def _halves(blocks: Bytes, start: int) -> Floats:
    """Return the half-precision number at a byte of each block, (n, 1)."""
    return blocks[:, start : start + 2].copy().view(np.float16).astype(np.float32)


def _signed(blocks: Bytes) -> NDArray[np.int8]:
    return blocks.view(np.int8)


def _bits(packed: Bytes, shifts: range, mask: int) -> Bytes:
    """Return the bits of each byte at each shift, (..., shifts, bytes)."""
    found = packed[..., None, :] >> np.array(shifts, dtype=np.uint8)[:, None]
    found &= np.uint8(mask)
    return found


def _q8_0(blocks: Bytes, out: Floats) -> None:
    np.copyto(out, _signed(blocks)[:, 2:])
    out *= _halves(blocks, 0)


def _q4_0(blocks: Bytes, out: Floats) -> None:
    _put_nibbles(blocks[:, 2:], out)
    out -= 8
    out *= _halves(blocks, 0)


def _q4_1(blocks: Bytes, out: Floats) -> None:
    _put_nibbles(blocks[:, 4:], out)
    out *= _halves(blocks, 0)
    out += _halves(blocks, 2)


def _q5_0(blocks: Bytes, out: Floats) -> None:
    _put_nibbles(blocks[:, 6:], out)
    out += _fifth_bits(blocks[:, 2:6])
    out -= 16
    out *= _halves(blocks, 0)


def _q5_1(blocks: Bytes, out: Floats) -> None:
    _put_nibbles(blocks[:, 8:], out)
    out += _fifth_bits(blocks[:, 4:8])
    out *= _halves(blocks, 0)
    out += _halves(blocks, 2)


def _put_nibbles(packed: Bytes, out: Floats) -> None:
    """Write the low halves of the bytes, then the high ones."""
    half = packed.shape[1]
    np.copyto(out[:, :half], packed & 15)
    np.copyto(out[:, half:], packed >> 4)


def _fifth_bits(packed: Bytes) -> Bytes:
    """Return bit after bit of 4 bytes, (n, 32), as the fifth bit of a number."""
    return np.unpackbits(packed, axis=1, bitorder="little") << np.uint8(4)


def _q2_k(blocks: Bytes, out: Floats) -> None:
    scales, parts = blocks[:, :16], out.reshape(-1, 16, 16)
    values = _bits(blocks[:, 16:80].reshape(-1, 2, 32), range(0, 8, 2), 3)
    np.copyto(parts, values.reshape(parts.shape))
    parts *= (_halves(blocks, 80) * (scales & 15))[..., None]
    parts -= (_halves(blocks, 82) * (scales >> 4))[..., None]


def _q3_k(blocks: Bytes, out: Floats) -> None:
    parts = out.reshape(-1, 16, 16)
    scales = _bits(blocks[:, 96:104], range(0, 8, 4), 15).reshape(-1, 16)
    scales |= _bits(blocks[:, 104:108], range(0, 8, 2), 3).reshape(-1, 16) << 4
    values = _bits(blocks[:, 32:96].reshape(-1, 2, 32), range(0, 8, 2), 3).reshape(-1, 8, 32)
    values |= _bits(blocks[:, :32], range(8), 1) << 2
    np.copyto(parts, values.reshape(parts.shape))
    parts -= 4
    parts *= (_halves(blocks, 108) * (scales.astype(np.float32) - 32))[..., None]


def _q4_k(blocks: Bytes, out: Floats) -> None:
    parts = out.reshape(-1, 8, 32)
    _put_nibble_rows(blocks[:, 16:], parts)
    _scale_eighths(blocks, parts)


def _q5_k(blocks: Bytes, out: Floats) -> None:
    parts = out.reshape(-1, 8, 32)
    _put_nibble_rows(blocks[:, 48:], parts)
    parts += _bits(blocks[:, 16:48], range(8), 1) << 4
    _scale_eighths(blocks, parts)


def _put_nibble_rows(packed: Bytes, parts: Floats) -> None:
    """Write of each 32 bytes the low halves, then the high ones."""
    rows, pairs = packed.reshape(-1, 4, 32), parts.reshape(-1, 4, 2, 32)
    np.copyto(pairs[:, :, 0], rows & 15)
    np.copyto(pairs[:, :, 1], rows >> 4)


def _scale_eighths(blocks: Bytes, parts: Floats) -> None:
    """Apply the scale and the minimum of each part of a block, of 6 bits each."""
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 2) & 48)], axis=1)
    minima = np.concatenate([second & 63, (third >> 4) | ((second >> 2) & 48)], axis=1)
    parts *= (_halves(blocks, 0) * scales)[..., None]
    parts -= (_halves(blocks, 2) * minima)[..., None]


def _q6_k(blocks: Bytes, out: Floats) -> None:
    parts = out.reshape(-1, 16, 16)
    values = _bits(blocks[:, :128].reshape(-1, 2, 64), range(0, 8, 4), 15).reshape(-1, 8, 32)
    high = _bits(blocks[:, 128:192].reshape(-1, 2, 32), range(0, 8, 2), 3).reshape(-1, 8, 32)
    values |= high << 4
    np.copyto(parts, values.reshape(parts.shape))
    parts -= 32
    parts *= (_halves(blocks, 208) * _signed(blocks)[:, 192:208])[..., None]


DEQUANTIZE: Mapping[str, Dequantize] = {
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
