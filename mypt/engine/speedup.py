"""What a run may do to its model for speed or memory; the results stay the same."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mypt.format.errors import ConfigError, Problem, counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.nn import Parameter

    from mypt.format.documents import TrainingConfig
    from mypt.model.transformer import Transformer


def check_freezing(model: Transformer, training: TrainingConfig) -> None:
    """Refuse to freeze layers that the model does not have.

    Raises:
        ConfigError: There are fewer.
    """
    there = len(model.blocks)
    if training.freeze_layers > there:
        what = f"is {training.freeze_layers}, but the model has {counted(there, 'layer')}"
        raise ConfigError(Problem("", "freeze_layers", what, f"choose at most {there}"))


@contextmanager
def prepared(model: Transformer, training: TrainingConfig) -> Iterator[None]:
    """Freeze, checkpoint and compile as the hyperparameters say, while a run lasts.

    Layers are compiled one by one: they are alike, so that the first one's code serves all, and
    neither names nor tensors of the model change.
    """
    frozen = [parameter for parameter in _frozen(model, training) if parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.activation_checkpointing = training.activation_checkpointing
        if training.compile:
            for block in model.blocks:
                block.compile()
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        model.activation_checkpointing = False
        for block in model.blocks:
            block._compiled_call_impl = None  # torch has no public way back


def _frozen(model: Transformer, training: TrainingConfig) -> Iterator[Parameter]:
    for block in model.blocks[: training.freeze_layers]:
        yield from block.parameters()
    if training.freeze_embeddings:
        yield from model.token_embedding_table.parameters()
        yield from model.position_embedding_table.parameters()
