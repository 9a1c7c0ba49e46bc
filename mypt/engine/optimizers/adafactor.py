"""Adafactor, in little memory: of a matrix it keeps the means of squares of rows and columns.

Its learning rate is relative to the size of the weights: 0.01 is a usual one. Weight decay is
decoupled, as AdamW's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from mypt.engine.optimizers.groups import make_groups
from mypt.engine.runtime.fsdp import full_tensor, is_part, local_part, part_of
from mypt.format.optimizers.adafactor import OPTIONS
from mypt.format.optimizers.options import fill_options
from mypt.model.torch_private import Adafactor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mypt.format.documents.training import TrainingConfig


def build_adafactor(parameters: Mapping[str, nn.Parameter], training: TrainingConfig) -> Adafactor:
    """Build Adafactor.

    Args:
        parameters: The parameters by name; frozen ones are included, have no gradient, and stay.
        training: Hyperparameters.
    """
    options = fill_options(OPTIONS, training.optimizer_options)
    kind = ShardedAdafactor if any(map(is_part, parameters.values())) else Adafactor
    return kind(
        make_groups(parameters, training),
        lr=training.learning_rate,
        beta2_decay=options["beta2_decay"],
        eps=tuple(options["eps"]),
        d=options["d"],
    )


class ShardedAdafactor(Adafactor):
    """Adafactor of parameters of which each process holds a part.

    The means of rows and columns, and the size of an update, are of whole matrices. So each process
    updates a whole parameter, one after the other, and keeps its part.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all parameters that have a gradient; all processes have to call this."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: nn.Parameter, group: Mapping[str, Any]) -> None:
        whole = nn.Parameter(full_tensor(parameter).clone(), requires_grad=False)
        whole.grad = full_tensor(cast("torch.Tensor", parameter.grad))
        one = Adafactor([{**group, "params": [whole], "param_names": ["whole"]}])
        before = self.state[parameter]
        if before:
            one.state[whole] = {key: full_tensor(value) for key, value in before.items()}
        one.step()
        parameter.copy_(part_of(whole, parameter))
        self.state[parameter] = {
            key: local_part(value, parameter) for key, value in one.state[whole].items()
        }
