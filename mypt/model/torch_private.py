"""Every name of torch that is not public, in one place, with what it is and since when.

torch may change or drop any of them without notice. `tests/model/test_torch_private.py` has a test
per name, so that a new torch is tried there first. Numbers are pull requests of pytorch/pytorch.
"""

from __future__ import annotations

from inspect import unwrap
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Self


class PlainOptimizer(torch.optim.Optimizer):
    """An optimizer without torch's import of its compiler.

    Since torch 2.1 these methods are wrapped in `torch._disable_dynamo`, which imports the compiler
    at the first call, to keep it out of them. A run that does not compile would begin some seconds
    later. What they wrap is found by `__wrapped__`, as `functools.wraps` leaves it.
    """

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class AdamW(PlainOptimizer, torch.optim.AdamW):
    """AdamW without torch's import of its compiler."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class AdamWOfSomeGroups(AdamW):
    """AdamW for some of its groups, beside a subclass that updates the others."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Take the arguments of AdamW.

        A fused AdamW divides gradients by the factor of a `GradScaler` itself, which it says by
        `_step_supports_amp_scaling` (torch 2.0, #83274); the scaler has to, for the other groups.
        """
        super().__init__(*arguments, **settings)
        self._step_supports_amp_scaling = False

    def step_groups(self, groups: list[dict[str, Any]]) -> None:
        """Update the parameters of some of its groups that have a gradient."""
        own = self.param_groups
        self.param_groups = groups
        try:
            AdamW.step(self)
        finally:
            self.param_groups = own


class SGD(PlainOptimizer, torch.optim.SGD):
    """Stochastic gradient descent without torch's import of its compiler."""

    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


class Adafactor(PlainOptimizer, torch.optim.Adafactor):
    """Adafactor without torch's import of its compiler."""

    step = torch.no_grad()(unwrap(torch.optim.Adafactor.step))


class MoveAwareModule(nn.Module):
    """A module with a hook that is called after its tensors were moved or converted.

    `Module._apply` is what `to`, `cuda`, `half`, `to_empty` and the like all go through, since the
    first versions of torch. There is no public hook for it.
    """

    def on_move(self) -> None:
        """Update everything that depends on the device or the dtype."""
        raise NotImplementedError

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.on_move()
        return self


def has_hooks(module: nn.Module) -> bool:
    """Return whether anything is to be called before or after the `forward` of a module.

    `Module._forward_hooks` and `_forward_pre_hooks` are where `register_forward_hook` and
    `register_forward_pre_hook` put it, since the first versions of torch. They cannot be listed in
    a public way.
    """
    return bool(module._forward_hooks or module._forward_pre_hooks)


def hook_ids(module: nn.Module) -> tuple[int, ...]:
    """Return a number for each hook of a module, which no other hook of this process has.

    They are the keys of the same dictionaries: `RemovableHandle.id`.
    """
    return *module._forward_hooks, *module._forward_pre_hooks


def tensor_version(tensor: Tensor) -> int:
    """Return how often a tensor was written to in place; 0 for one made in inference mode.

    `Tensor._version` is autograd's count, since the first versions of torch.
    """
    return 0 if tensor.is_inference() else tensor._version


def discard_compiled(module: nn.Module) -> None:
    """Undo `module.compile()`.

    `Module._compiled_call_impl` is what a call of the module runs instead of its own code (torch
    2.1, #97565). torch has no public way back.
    """
    module._compiled_call_impl = None


def compile_whole_layers() -> AbstractContextManager[None]:
    """Keep the compiler from splitting a layer's graph to exchange gradients in between.

    Layers are compiled one by one, which splits enough. `torch._dynamo.config.optimize_ddp` is
    there since torch 2.0; the module takes seconds to import.
    """
    from torch._dynamo import config

    patched: AbstractContextManager[None] = config.patch(optimize_ddp=False)
    return patched


def can_pack_linear(dtype: torch.dtype = torch.float32) -> bool:
    """Return whether torch has what `pack_linear` takes: builds with oneDNN do.

    `mkldnn._is_mkldnn_bf16_supported` says whether oneDNN multiplies bfloat16 on this processor
    (torch 2.0, #92738).
    """
    ops = torch.ops.mkldnn
    if not (hasattr(ops, "_reorder_linear_weight") and hasattr(ops, "_linear_pointwise")):
        return False
    if dtype == torch.bfloat16:
        asked = getattr(ops, "_is_mkldnn_bf16_supported", None)
        return asked is not None and bool(asked())
    return dtype == torch.float32


def pack_linear(layer: nn.Linear, batch_size: int) -> Callable[[Tensor], Tensor]:
    """Return a linear layer as a function of weights in the blocks that oneDNN reads them in.

    `mkldnn._reorder_linear_weight` and `mkldnn._linear_pointwise` are what the compiler uses for
    linear layers on a CPU (torch 2.0, after #89109).

    Args:
        layer: The layer on the CPU, of a dtype for which `can_pack_linear` holds.
        batch_size: Rows that there will be.
    """
    weight, bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight, batch_size), layer.bias
    multiply = torch.ops.mkldnn._linear_pointwise.default
    return lambda x: multiply(x, weight, bias, "none", [], "")


def can_quantize_rows() -> bool:
    """Return whether torch has what `quantize_rows` takes; it warns that it will go (#184982)."""
    return hasattr(torch, "_make_per_channel_quantized_tensor")


def quantize_rows(rounded: Tensor, factors: Tensor) -> Tensor:
    """Return integers and their factors as one quantized tensor.

    `torch._make_per_channel_quantized_tensor` is older than torch 1.5, and deprecated. The public
    `torch.quantize_per_channel` would round floats, where the integers are already there.

    Args:
        rounded: (out, in) int8.
        factors: One per row, (out,) float32.
    """
    zeros = torch.zeros(len(factors), dtype=torch.int64)
    return torch._make_per_channel_quantized_tensor(rounded, factors.double(), zeros, 0)


def multiply_int8(a: Tensor, b: Tensor) -> Tensor:
    """Multiply int8 matrices, (N, in) with (in, out), into int32.

    `torch._int_mm` is there since torch 2.1 (#96685), for the CPU since 2.4 (#121792). The public
    `torch.mm` would add up in 8 bits.
    """
    return torch._int_mm(a, b)


def lerp_all(values: list[Tensor], targets: list[Tensor], weight: float) -> None:
    """Move tensors towards others in place: `v += weight * (t - v)` in one pass over all."""
    torch._foreach_lerp_(values, targets, weight)


def identify_storage(tensor: torch.Tensor) -> int:
    """Return a number that tensors share only if they are views of one block of memory.

    Unlike its address, that of an empty block is one of its own. Since torch 2.0, whose
    `StorageWeakRef` keeps the same number.
    """
    return int(tensor.untyped_storage()._cdata)
