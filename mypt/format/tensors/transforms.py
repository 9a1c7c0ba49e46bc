"""Operations on tensors, or on descriptions of tensors, shared by readers and migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.tensors.info import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Sequence


def join_rows(parts: Sequence[Any]) -> Any:
    """Concatenate tensors, or descriptions of tensors, along the rows.

    Where they are of several floating dtypes, the outcome is of one that holds all their values.
    """
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], TensorInfo):
        rows = sum(part.shape[0] for part in parts)
        dtypes = {part.dtype for part in parts}
        wide = "float64" if "float64" in dtypes else "float32"
        joined = evolve(parts[0], dtype=wide) if len(dtypes) > 1 else parts[0]
        return joined.with_shape((rows, *parts[0].shape[1:]), "joined")
    import torch

    return torch.cat(list(parts))


def take_rows(matrix: Any, slices: Sequence[slice], factors: Sequence[float] = ()) -> Any:
    """Return some rows of a tensor in another order, or the description.

    Args:
        matrix: (rows, ...).
        slices: The rows, slice by slice.
        factors: Factor on the rows of each slice; empty for none.
    """
    if isinstance(matrix, TensorInfo):
        rows = sum(len(range(matrix.shape[0])[place]) for place in slices)
        return matrix.with_shape((rows, *matrix.shape[1:]), f"rows {slices} {factors} of")
    import torch

    factors = factors or (1.0,) * len(slices)
    parts = [
        matrix[place] if factor == 1.0 else (matrix[place].double() * factor).to(matrix.dtype)
        for place, factor in zip(slices, factors, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def transpose(matrix: Any) -> Any:
    """Return the transpose (columns, rows) of a matrix or description.

    It is a view, so that a file which is mapped need not be read for it; what writes or trains
    puts the values in order.
    """
    if isinstance(matrix, TensorInfo):
        return matrix.with_shape((matrix.shape[1], matrix.shape[0]), "transposed")
    return matrix.t()


def add_product(matrix: Any, a: Any, b: Any, scale: float) -> Any:
    """Return matrix + scale * (a @ b), or its description.

    Args:
        matrix: (rows, columns).
        a: (rows, r).
        b: (r, columns).
        scale: Factor on the product.
    """
    if isinstance(matrix, TensorInfo):
        return matrix.with_shape(matrix.shape, "merged")
    return (matrix.double() + scale * (a.double() @ b.double())).to(matrix.dtype)


def place_blocks(blocks: Sequence[tuple[Any, int, int]], shape: tuple[int, int]) -> Any:
    """Return a matrix of zeros with some matrices in it, or its description.

    Args:
        blocks: Each matrix, and the row and the column where it begins.
        shape: Of the result.
    """
    first = blocks[0][0]
    if isinstance(first, TensorInfo):
        return first.with_shape(shape, "placed")
    placed = first.new_zeros(shape)
    for block, row, column in blocks:
        placed[row : row + block.shape[0], column : column + block.shape[1]] = block
    return placed


def one_hot(like: Any) -> Any:
    """Return the identity with the size and dtype of a square matrix, or its description."""
    if isinstance(like, TensorInfo):
        return like.with_shape(like.shape, "one-hot")
    import torch

    return torch.eye(like.size(0), dtype=like.dtype)


def constant_row(like: Any, value: float) -> Any:
    """Return a row filled with one value, of a matrix's width and dtype, or its description."""
    if isinstance(like, TensorInfo):
        return like.with_shape(like.shape[1:], "constant")
    return like.new_full(like.shape[1:], value)


def has_zero_bits(tensor: Any) -> bool:
    """Return whether a tensor has only zeros, without a sign."""
    import torch

    return not bool(tensor.contiguous().flatten().view(torch.uint8).any())


def have_equal_bits(one: Any, other: Any) -> bool:
    """Return whether two tensors are the same in type, shape and bits, which NaN has too."""
    import torch

    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.data_ptr() == other.data_ptr() and one.stride() == other.stride():
        return True  # a tied matrix need not be read
    bits = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, other))
    return torch.equal(*bits)
