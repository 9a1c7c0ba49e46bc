"""Initialise the weights of a new model, or skip that if weights are about to be loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from mypt.model.part_failures import naming_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypt.model.transformer import Transformer

STD = 0.02
# The matrices at the end of each part, whose output is added to the residual stream.
RESIDUAL = (".sa.proj.weight", ".fwd.w_down.weight", ".fwd.net.2.weight")


class WithoutValues(TorchFunctionMode):
    """A context in which `torch.nn.init` does nothing, for modules that get their values later.

    Even on the meta device torch draws initial weights. The only effect is that its compiler is
    imported, which takes longer than opening a model.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a tensor that is to be initialised unchanged."""
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _write(parameter: torch.Tensor, drawn: torch.Tensor) -> None:
    parameter.copy_(drawn)


@torch.no_grad()
def initialise(
    model: Transformer,
    seed: int,
    write: Callable[[torch.Tensor, torch.Tensor], None] = _write,
) -> None:
    """Set all weights, as a function of only the seed and the architecture.

    Matrices are drawn from N(0, 0.02), those that write to the residual stream from N(0, 0.02 /
    sqrt(2 n_layer)); biases are set to 0 and other vectors (norms) to 1. Then `reset` is called on
    each part that has it, to set its own weights.

    Args:
        model: On any device except meta; numbers are drawn on the CPU, so the device does not
            matter.
        seed: Any 64-bit integer.
        write: Writes what was drawn to a parameter, of which this process may hold a part. One
            tensor is drawn at a time, so that no more than that is ever whole.

    Raises:
        PluginError: The `reset` of a plugin's part failed.

    Source: Radford et al. 2019 (GPT-2), section 2.3, and the code released with it.
    """
    generator = torch.Generator().manual_seed(seed)
    residual_std = STD / math.sqrt(2 * max(1, model.config.n_layer))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:
            parameter.fill_(1.0)
        else:
            std = residual_std if name.endswith(RESIDUAL) else STD
            drawn = torch.empty(parameter.shape).normal_(0.0, std, generator=generator)
            write(parameter, drawn)
    with naming_failures(model):
        for module in model.modules():
            reset = getattr(module, "reset", None)
            if reset is not None:
                reset(generator)
