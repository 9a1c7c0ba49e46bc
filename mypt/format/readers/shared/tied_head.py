"""Decide by the stored tensors whether a model's output layer is its token embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.tensors.info import TensorInfo
from mypt.format.tensors.transforms import have_equal_bits
from mypt.format.tensors.weights_file import have_equal_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def is_tied(
    tensors: Mapping[str, Any], embedding: str, head: str, places: Mapping[str, Path]
) -> bool:
    """Return whether no other head is stored than the embedding.

    Programs that tie the two store the matrix once or twice. Where two differ, the model computes
    with both, whatever its config says: it was saved before its program tied them, or untied since.

    Args:
        tensors: The tensors in the file, or their descriptions.
        embedding: Name of the token embedding among them.
        head: Name of the output layer's matrix.
        places: The files that hold the tensors, by name.
    """
    first, second = tensors.get(embedding), tensors.get(head)
    if first is None or second is None:
        return True
    if isinstance(first, TensorInfo) and isinstance(second, TensorInfo):
        return have_equal_values((places[embedding], first), (places[head], second))
    # a file that stores a transposed view is not compared value by value, described or loaded
    same = first.data_ptr() == second.data_ptr() and first.stride() == second.stride()
    comparable = same or (first.is_contiguous() and second.is_contiguous())
    return comparable and have_equal_bits(first, second)


def describe_untied(embedding: str, head: str) -> str:
    """Return the remark on a head that a program is said to tie, and that differs."""
    return f"{head} differs from {embedding}: the model is opened untied, as it was saved"
