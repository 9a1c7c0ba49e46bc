"""Muon: orthogonal updates for the matrices of the layers, AdamW for the rest.

Sources: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; Liu et al.
2025, arXiv 2502.16982, section 2.2 (updates as large as AdamW's, weight decay).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch

from mypt.engine.optimizers.newton_schulz import orthogonalize
from mypt.engine.runtime.fsdp import full_tensor, part_of
from mypt.format.optimizers.adamw import EPS, cut_groups
from mypt.format.optimizers.muon import (
    MATRIX_SETTINGS,
    OPTIONS,
    is_hidden_matrix,
    list_rows,
)
from mypt.format.optimizers.options import fill_options
from mypt.model.torch_private import AdamWOfSomeGroups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from mypt.format.documents.training import TrainingConfig

# Matrices of one shape are orthogonalized together, as many as have about so many elements.
_TOGETHER = 1 << 22
_RMS = 0.2  # the usual size of AdamW's updates

_LR_FACTORS: Mapping[str, Callable[[int, int], float]] = {
    "match_rms_adamw": lambda rows, columns: _RMS * math.sqrt(max(rows, columns)),
    "original": lambda rows, columns: math.sqrt(max(1.0, rows / columns)),
    "none": lambda _, __: 1.0,
}


def build_muon(parameters: Mapping[str, nn.Parameter], training: TrainingConfig) -> Muon:
    """Build Muon for the matrices of the layers, and AdamW for the other parameters.

    Args:
        parameters: The parameters by name; frozen ones are included, have no gradient, and stay.
        training: Hyperparameters.
    """
    options = fill_options(OPTIONS, training.optimizer_options)
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    of_matrices = {
        "name": "matrices",
        "lr": options["muon_learning_rate"] or training.learning_rate,
        **{key: options[key] for key in MATRIX_SETTINGS if key in options},
    }
    of_others = {"name": "others", **dict.fromkeys(MATRIX_SETTINGS)}
    groups: dict[tuple[object, ...], dict[str, Any]] = {}
    for cut in cut_groups(shapes, training.weight_decay_on, {}):
        decay = training.weight_decay if cut.decays else 0.0
        for name in cut.names:
            is_matrix = is_hidden_matrix(name, shapes[name])
            rows = list_rows(name, shapes) if is_matrix and options["split_qkv"] else None
            own = {**of_matrices, "rows": rows} if is_matrix else of_others
            settings = {"params": [], "param_names": [], "weight_decay": decay, **own}
            group = groups.setdefault((is_matrix, cut.decays, *(rows or ())), settings)
            group["params"].append(parameters[name])
            group["param_names"].append(name)
    return Muon(groups.values(), training.learning_rate, (training.beta1, training.beta2))


class Muon(AdamWOfSomeGroups):
    """AdamW, but for the groups that have a momentum: their matrices are updated by Muon.

    The state is a mean of gradients, `momentum`, for each matrix, and AdamW's for the rest. It is
    float32 wherever the weights are, and so are updates, but for their orthogonalization.
    """

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], lr: float, betas: tuple[float, float]
    ) -> None:
        """Take groups whose `momentum` is None, or which have all of `MATRIX_SETTINGS`.

        Args:
            groups: The groups.
            lr: Learning rate of groups without one.
            betas: Decay of AdamW's two moments.
        """
        super().__init__([dict(group) for group in groups], lr, betas, eps=EPS, fused=True)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all parameters that have a gradient."""
        self.step_groups([group for group in self.param_groups if group["momentum"] is None])
        for group in self.param_groups:
            if group["momentum"] is not None:
                self._update_matrices(group)

    def _update_matrices(self, group: Mapping[str, Any]) -> None:
        by_shape: dict[torch.Size, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in by_shape.items():
            for some in _cut(parameters, max(1, _TOGETHER // shape.numel())):
                self._update_alike(some, group)

    def _update_alike(self, parameters: Sequence[nn.Parameter], group: Mapping[str, Any]) -> None:
        """Update matrices of one shape."""
        directions = torch.stack([full_tensor(self._find_direction(p, group)) for p in parameters])
        factor = _LR_FACTORS[group["adjust_lr_fn"]]
        parts = []
        for part in torch.split(directions, group["rows"] or directions.size(1), dim=1):
            scale = factor(part.size(1), part.size(2))
            parts.append(orthogonalize(part, group["ns_steps"]).mul_(scale))
        updates = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(part_of(update, parameter), alpha=-group["lr"])

    def _find_direction(self, parameter: nn.Parameter, group: Mapping[str, Any]) -> Tensor:
        """Return what an update follows, before it is orthogonalized; the momentum takes it in."""
        state, gradient = self.state[parameter], cast("Tensor", parameter.grad)
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean: Tensor = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(mean, group["momentum"]) if group["nesterov"] else mean


def _cut(parameters: list[nn.Parameter], size: int) -> Iterator[list[nn.Parameter]]:
    for begin in range(0, len(parameters), size):
        yield parameters[begin : begin + size]
