"""An exponential mean of a model's weights over its updates.

Its decay is warmed up, so that the first weights, which are random, are soon forgotten:
min(decay, (1 + n) / (10 + n)) for the n-th update of the model, as in TensorFlow's
`ExponentialMovingAverage` with `num_updates`, and in diffusers' `EMAModel`. A function of the step
alone, it needs no counter, and a resumed run goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mypt.engine.averaging.swap import swapped
from mypt.engine.runtime.fsdp import local_part, own_part, place_of
from mypt.format.optimizers.weight_mean import KEY
from mypt.model.torch_private import lerp_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

_AHEAD = 10


def decay_at(step: int, decay: float) -> float:
    """Return the decay of the update after which a model has made `step` updates.

    Args:
        step: Updates done, that one among them.
        decay: The largest decay.
    """
    return min(decay, (1 + step) / (_AHEAD + step))


class WeightMean:
    """The mean of the parameters that a run trains; the others are what they are.

    Attributes:
        decay: Its decay per update, once warmed up.
        values: The mean of each parameter by name, in float32; sharded as the parameter is.
        begun: Names of the parameters whose mean begins here, with their weights as they are.
    """

    def __init__(
        self,
        model: nn.Module,
        trained: Collection[nn.Parameter],
        decay: float,
        saved: Mapping[str, Tensor],
    ) -> None:
        """Go on with the mean that was saved, or begin it with the weights as they are.

        Args:
            model: The model, on its device.
            trained: Its parameters that are trained.
            decay: The decay per update, above 0 and below 1.
            saved: The mean that was saved of each parameter by name; of some there may be none.
        """
        self.decay = decay
        self._parameters = {n: p for n, p in model.named_parameters() if p in trained}
        self.begun = tuple(name for name in self._parameters if name not in saved)
        self.values = {
            name: _place(saved[name], parameter)
            if name in saved
            else parameter.detach().to(torch.float32, copy=True)
            for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after an update.

        Args:
            step: Updates done, that one among them.
        """
        values = [own_part(value) for value in self.values.values()]
        weights = [own_part(p.detach()).to(torch.float32) for p in self._parameters.values()]
        lerp_all(values, weights, 1 - decay_at(step, self.decay))

    def swapped(self) -> AbstractContextManager[None]:
        """Let the model have the mean as its weights for a while."""
        return swapped((p, self.values[name]) for name, p in self._parameters.items())


class _Means(Mapping[str, "Tensor"]):
    """The means in the state of an optimizer, each read when it is asked for."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> Tensor:
        mean: Tensor = self._entries[name][KEY]
        return mean

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def find_means(optimizer: Mapping[str, Any] | None) -> Mapping[str, Tensor]:
    """Return the mean of each parameter by name that the content of an `optimizer.pt` keeps.

    Of a sharded save, each is read when it is asked for.
    """
    state = {} if optimizer is None else optimizer["state"]
    return _Means({name: entry for name, entry in state.items() if KEY in entry})


def mean_weights(weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a model with the mean in the place of what it is of.

    Args:
        weights: By name; tied ones share their memory.
        optimizer: Content of `optimizer.pt`. What has no mean there is its own mean: what is not
            trained, and all of it before the first update.
    """
    means = {place_of(weights[name]): mean for name, mean in find_means(optimizer).items()}
    places_of = {name: place_of(tensor) for name, tensor in weights.items()}
    return {
        name: means[places_of[name]].to(tensor.dtype) if places_of[name] in means else tensor
        for name, tensor in weights.items()
    }


def _place(value: Tensor, parameter: nn.Parameter) -> Tensor:
    return local_part(value.to(torch.float32, copy=True), parameter).to(parameter.device)
