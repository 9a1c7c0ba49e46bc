"""Know whether a model still computes what it computed before."""

from __future__ import annotations

import weakref
from itertools import chain
from typing import TYPE_CHECKING, Any

from mypt.model.torch_private import hook_ids, tensor_version

if TYPE_CHECKING:
    from torch import Tensor, nn


class WeightsVersion:
    """The state of the tensors and hooks of a model at one time, without the memory of a copy."""

    def __init__(self, model: nn.Module) -> None:
        """Take the state of a model."""
        self._tensors = [(weakref.ref(tensor), _describe(tensor)) for tensor in _list(model)]
        self._hooks = _list_hooks(model)

    def is_of(self, model: nn.Module) -> bool:
        """Return whether a model is the same one, and nothing in it was written to or replaced.

        What is written through `.data` goes unnoticed, as it does by autograd.
        """
        tensors = _list(model)
        if len(tensors) != len(self._tensors) or self._hooks != _list_hooks(model):
            return False
        return all(
            before() is tensor and described == _describe(tensor)
            for (before, described), tensor in zip(self._tensors, tensors, strict=True)
        )


def _list(model: nn.Module) -> list[Tensor]:
    return [*chain(model.parameters(), model.buffers())]


def _list_hooks(model: nn.Module) -> list[int]:
    return [number for module in model.modules() for number in hook_ids(module)]


def _describe(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.device, tensor_version(tensor)
