"""Register the optimizers with mypt; the library and torch are imported when one is built."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.plugins import OptimizerFactory, StateTensor, decays, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn
    from torch.optim import Optimizer

    from mypt.plugins import ParameterInfo, TrainingConfig

_FRACTION = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
_SETTINGS = ("betas", "weight_decay", "weight_decouple")


@frozen
class Offered:
    """An optimizer of the library.

    Attributes:
        name: Its name in mypt.
        class_name: Its class.
        betas: The usual decays of its means, which are options `beta1`, `beta2` and so on.
        kept: What it keeps for each parameter, in the shape of that.
    """

    name: str
    class_name: str
    betas: tuple[float, ...]
    kept: tuple[str, ...]

    @property
    def options(self) -> dict[str, Any]:
        """JSON Schema of its options."""
        properties = {
            f"beta{number}": {
                **_FRACTION,
                "default": beta,
                "description": f"Decay of the mean number {number}.",
            }
            for number, beta in enumerate(self.betas, start=1)
        }
        return {"type": "object", "properties": properties, "additionalProperties": False}


OFFERED = (
    Offered("lion", "Lion", (0.9, 0.99), ("exp_avg",)),
    Offered("adopt", "ADOPT", (0.9, 0.9999), ("exp_avg", "exp_avg_sq")),
    Offered(
        "ademamix", "AdEMAMix", (0.9, 0.999, 0.9999), ("exp_avg", "exp_avg_sq", "exp_avg_slow")
    ),
)


@hookimpl
def mypt_optimizers() -> list[OptimizerFactory]:
    """Offer those whose state is the tensors of each parameter, and a counter of each group."""
    return [
        OptimizerFactory(
            offered.name,
            build=partial(_build, offered),
            state=partial(_keep, offered),
            settings=_SETTINGS,
            progress=("step",),
            options=offered.options,
        )
        for offered in OFFERED
    ]


def _keep(offered: Offered, parameter: ParameterInfo, _: Mapping[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(offered.kept, StateTensor(parameter.shape))


def _build(
    offered: Offered, parameters: Mapping[str, nn.Parameter], training: TrainingConfig
) -> Optimizer:
    """Build one, of a group that decays and one that does not."""
    import pytorch_optimizer

    given = training.optimizer_options
    halves: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        is_decayed = decays(name, parameter.dim(), training.weight_decay_on)
        halves.setdefault(training.weight_decay if is_decayed else 0.0, []).append(parameter)
    optimizer: Optimizer = getattr(pytorch_optimizer, offered.class_name)(
        [{"params": held, "weight_decay": decay} for decay, held in halves.items()],
        lr=training.learning_rate,
        betas=tuple(given.get(f"beta{n}", beta) for n, beta in enumerate(offered.betas, start=1)),
        weight_decouple=True,
    )
    for group in optimizer.param_groups:
        group["step"] = 0  # which the library sets before the first update
    return optimizer
