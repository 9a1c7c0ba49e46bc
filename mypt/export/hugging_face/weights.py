"""The tensors of a model as a class of `transformers` has them, made one group at a time."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.tensor_source import group_sources, source_shapes, split_tensors
from mypt.format.tensors.info import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from mypt.export.hugging_face.classes import ClassModel
    from mypt.format.layout import Shape

DTYPES = ("float32", "bfloat16", "float16")


@frozen(kw_only=True)
class ForeignTensor:
    """A tensor that is to be written.

    Attributes:
        name: Its name there.
        dtype: Name of the dtype that it is written in.
        shape: Its shape there.
    """

    name: str
    dtype: str
    shape: Shape

    @property
    def numel(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size of its values."""
        return self.numel * ITEM_BYTES[self.dtype]


@frozen(kw_only=True)
class ForeignWeights:
    """The tensors that are to be written, which are made one group at a time.

    Attributes:
        tensors: Descriptions, in the order in which they are made.
        groups: Functions that make tensors that come out of the same ones of mypt, by name.
    """

    tensors: tuple[ForeignTensor, ...]
    groups: tuple[Callable[[], Mapping[str, Tensor]], ...]

    @property
    def dtype(self) -> str | None:
        """The dtype of all tensors; None if they have different ones."""
        found = {tensor.dtype for tensor in self.tensors}
        return found.pop() if len(found) == 1 else None

    @property
    def numel(self) -> int:
        """Number of all values."""
        return sum(tensor.numel for tensor in self.tensors)

    def make(self) -> Iterator[Tensor]:
        """Yield each tensor; no more than one group is held at once.

        Raises:
            FormatError: One has values that its dtype has not.
        """
        described = iter(self.tensors)
        for make_group in self.groups:
            for tensor in make_group().values():
                yield _convert(tensor, next(described))


def lay_out_weights(
    told: ClassModel, weights: Mapping[str, Tensor], dtype: str | None
) -> ForeignWeights:
    """Describe the tensors of a model of a class, without making them.

    Args:
        told: What the class needs.
        weights: The tensors of mypt's model.
        dtype: What to convert them to; None for their own.
    """
    tensors: list[ForeignTensor] = []
    groups: list[Callable[[], Mapping[str, Tensor]]] = []
    for sources in group_sources(told.sources):
        name, source = next(iter(sources.items()))
        shapes = source_shapes(source, tuple(weights[name].shape))
        tensors += _describe(shapes, dtype or _dtype_of(weights[name]))
        groups.append(partial(split_tensors, sources, weights))
    any_dtype = dtype or _dtype_of(next(iter(weights.values())))
    tensors += _describe(told.zeros, any_dtype)
    groups.append(lambda: {name: _make_zeros(shape) for name, shape in told.zeros.items()})
    return ForeignWeights(tensors=tuple(tensors), groups=tuple(groups))


def _describe(shapes: Mapping[str, Shape], dtype: str) -> list[ForeignTensor]:
    return [ForeignTensor(name=name, dtype=dtype, shape=shape) for name, shape in shapes.items()]


def _dtype_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _make_zeros(shape: Shape) -> Tensor:
    import torch

    return torch.zeros(shape)


def _convert(tensor: Tensor, wanted: ForeignTensor) -> Tensor:
    import torch

    converted = tensor.to(getattr(torch, wanted.dtype))
    if converted.dtype != tensor.dtype and not torch.equal(converted.isinf(), tensor.isinf()):
        what = f"has values beyond the range of {wanted.dtype}"
        raise FormatError(Problem("", wanted.name, what, "choose bfloat16 or float32"))
    return converted
