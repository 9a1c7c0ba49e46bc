"""AdamW over groups that weight decay applies to and groups that it does not.

Source: Loshchilov and Hutter 2019 (decoupled weight decay).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.engine.optimizers.groups import make_groups
from mypt.format.optimizers.adamw import EPS
from mypt.model.torch_private import AdamW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from mypt.format.documents.training import TrainingConfig


def build_adamw(
    parameters: Mapping[str, nn.Parameter],
    training: TrainingConfig,
    own: Mapping[str, Mapping[str, float]] | None = None,
) -> AdamW:
    """Build AdamW: of one group for what decays and one for the rest, or of more by what is own.

    Args:
        parameters: The parameters by name; frozen ones are included, have no gradient, and stay.
        training: Hyperparameters.
        own: Hyperparameters of their own by parameter; see `mypt.format.optimizers.adamw.Group`.
    """
    return AdamW(
        make_groups(parameters, training, own),
        lr=training.learning_rate,
        betas=(training.beta1, training.beta2),
        eps=EPS,
        fused=True,  # torch's default loops over tensors: 4 to 6 times slower on CPU
    )
