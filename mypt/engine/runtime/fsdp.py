"""Shard a model over the processes of a run, for one that does not fit a single device.

Source: Zhao et al. 2023, "PyTorch FSDP"; torch's `fully_shard`. Its modules take a second to
import, so they are imported when a model is sharded; until then no tensor is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from mypt.format.optimizers.declaration import is_number
from mypt.format.tensors.info import DeferredTensor
from mypt.model.lora.attachment import tie_head
from mypt.model.torch_private import identify_storage

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from typing import TypeGuard

    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    from mypt.engine.runtime.world import World
    from mypt.model.transformer import Transformer


M = TypeVar("M", bound="Transformer")


def shard(
    model: M, world: World, device: torch.device, autocast_to: torch.dtype | None = None
) -> M:
    """Keep this process's part of each tensor, on its device; names and shapes stay.

    Args:
        model: The whole model, on the CPU; or one on the meta device, see `materialise`.
        world: The processes that share it.
        device: Device of this process.
        autocast_to: The dtype that autocast converts the matrices to, if it does. Those of the
            layers are then exchanged in that dtype: autocast would keep its copies of all layers
            until the backward pass, where each process frees the whole weights of each layer.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    mesh, policy = init_device_mesh(device.type, (world.size,)), MixedPrecisionPolicy()
    if autocast_to is not None:
        policy = MixedPrecisionPolicy(autocast_to, torch.float32, cast_forward_inputs=False)
    for layer in model.blocks.layers:
        others = list(_list_uncast(layer))
        if others and autocast_to is not None:
            fully_shard(others, mesh=mesh)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "loss")
    return model


@torch.no_grad()
def materialise(model: Transformer, device: torch.device) -> None:
    """Give a sharded model whose parameters are on the meta device memory for its own parts.

    Args:
        model: The model; its buffers have their values, and keep them.
        device: Device of this process.
    """
    before = dict(model.named_buffers())
    model.to_empty(device=device)
    for name, buffer in model.named_buffers():
        buffer.copy_(before[name])
    tie_head(model)  # `to_empty` may make two of what two modules share


def cut_part(tensor: torch.Tensor, rank: int, size: int) -> torch.Tensor:
    """Return what the process of a rank holds of a full tensor, as a view of it.

    FSDP splits tensors in rows, of which the last processes may have fewer, or none.

    Args:
        tensor: The full tensor, with at least one dimension.
        rank: Number of the process.
        size: Number of processes.
    """
    rows = -(-tensor.size(0) // size)
    return tensor[rank * rows : (rank + 1) * rows]


@torch.no_grad()
def write_part(parameter: torch.Tensor, part: torch.Tensor) -> None:
    """Write this process's part of a parameter.

    Args:
        parameter: The parameter.
        part: What `cut_part` returns of the full tensor.
    """
    own_part(parameter).view(part.shape).copy_(part)  # to copy alone would repeat a single row


def write_whole(parameter: torch.Tensor, whole: torch.Tensor) -> None:
    """Write this process's part of a parameter, given the full tensor."""
    if not is_part(parameter):
        raise TypeError(parameter)
    mesh = parameter.device_mesh
    write_part(parameter, cut_part(whole, mesh.get_local_rank(), mesh.size()))


def _list_uncast(layer: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yield the modules of a layer whose own parameters autocast leaves as they are, as norms'."""
    for module in layer.modules():
        is_own = any(True for _ in module.parameters(recurse=False))
        if is_own and not isinstance(module, torch.nn.Linear):
            yield module


def is_sharded(model: torch.nn.Module) -> bool:
    """Return whether a model is sharded over processes."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and isinstance(model, fsdp.FSDPModule)


def exchange_gradients(model: torch.nn.Module, *, next_time: bool) -> None:
    """Set whether the next backward pass of a sharded model sums all processes' gradients."""
    cast("FSDPModule", model).set_requires_gradient_sync(next_time)


def is_part(tensor: torch.Tensor) -> TypeGuard[DTensor]:
    """Return whether this process may hold only a part of a tensor."""
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and isinstance(tensor, tensors.DTensor)


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Return the full tensor; all processes have to call this, in the same order."""
    return tensor.full_tensor() if is_part(tensor) else tensor


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """Return the part of a tensor that this process holds."""
    return tensor.to_local() if is_part(tensor) else tensor


def place_of(tensor: torch.Tensor) -> tuple[int, int]:
    """Return where a tensor, or this process's part of it, begins; tied tensors share it.

    Where there are fewer rows than processes, parts are empty: they have no address, and yet a
    place of their own, so that all processes find the same tensors to be tied.
    """
    part = own_part(tensor)
    return identify_storage(part), int(part.storage_offset())


def defer_weights(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor | DeferredTensor]:
    """Return weights by name, those of which each process has a part as tensors to be gathered.

    To fetch one gathers it: all processes have to do it, in the same order.
    """
    return {name: _defer(tensor, place_of(tensor)) for name, tensor in weights.items()}


def defer_state(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an `optimizer.pt` likewise; each of its tensors is one of its own."""
    state = {
        name: {
            key: _defer(value, (name, key)) if isinstance(value, torch.Tensor) else value
            for key, value in entry.items()
        }
        for name, entry in optimizer["state"].items()
    }
    return {**optimizer, "state": state}


def _defer(tensor: torch.Tensor, key: Hashable) -> torch.Tensor | DeferredTensor:
    if not is_part(tensor):
        return tensor
    dtype, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
    return DeferredTensor(dtype, shape, (key, dtype, shape), tensor.full_tensor)


def local_part(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the part of a full tensor that this process holds of it beside a parameter.

    Args:
        tensor: The full tensor. One of another shape than the parameter is whole in each process,
            and so is a scalar, which torch takes as it is.
        like: The parameter.
    """
    if not is_part(like) or not tensor.dim():
        return tensor
    from torch.distributed.tensor import Replicate, distribute_tensor

    is_alike = tensor.shape == like.shape
    placements = like.placements if is_alike else [Replicate()] * like.device_mesh.ndim
    return distribute_tensor(tensor.to(like.device), like.device_mesh, placements)


def part_of(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the part that this process holds of a tensor which each process has computed.

    Args:
        whole: The full tensor, equal in all processes, which nobody sends.
        like: A parameter of its shape, which says which part it is.
    """
    if not is_part(like):
        return whole
    from torch.distributed.tensor import DTensor, Replicate

    copies = [Replicate()] * like.device_mesh.ndim
    replicated = DTensor.from_local(whole, like.device_mesh, copies, run_check=False)
    return replicated.redistribute(placements=like.placements)


def send_parts(tensors: Mapping[str, torch.Tensor], optimizer: Mapping[str, Any]) -> None:
    """Send the main process this process's parts of what it saves."""
    for tensor in tensors.values():
        full_tensor(tensor)
    for entry in optimizer["state"].values():
        for value in entry.values():
            if not is_number(value):
                full_tensor(value)
