"""What a run does to its model and to torch while it lasts; the results stay the same."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from mypt.format.errors import ConfigError, Problem, format_count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from torch.nn import Parameter

    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer


def check_freezing(model: Transformer, training: TrainingConfig) -> None:
    """Refuse to freeze layers that the model does not have.

    Raises:
        ConfigError: There are fewer.
    """
    there = len(model.blocks)
    if training.freeze_layers > there:
        what = f"is {training.freeze_layers}, but the model has {format_count(there, 'layer')}"
        raise ConfigError(Problem("", "freeze_layers", what, f"choose at most {there}"))


@contextmanager
def set_up_model(model: Transformer, training: TrainingConfig) -> Iterator[None]:
    """Freeze, checkpoint and compile as the hyperparameters say, and repeatably, while a run lasts.

    Layers are compiled one by one: they are alike, so that the first one's code serves all, and
    neither names nor tensors of the model change.
    """
    with ExitStack() as stack:
        if next(model.parameters()).device.type == "cuda":
            stack.enter_context(repeatable())
        if training.compile:
            stack.enter_context(_whole_graphs())
        stack.enter_context(_model_prepared(model, training))
        yield


@contextmanager
def repeatable() -> Iterator[None]:
    """Let a GPU add up in the same order each time; on a CPU torch does so anyway.

    Otherwise the backward pass of attention adds up in the order in which blocks are done, and the
    compiler may choose among kernels by their time, so that no run can be repeated to the bit.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module with a setting that no type checker sees
    fills = memory.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # none is read before
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        memory.fill_uninitialized_memory = fills


def _whole_graphs() -> AbstractContextManager[None]:
    """Keep torch from cutting layers where it would exchange gradients: layers are cuts enough."""
    from torch._dynamo import config  # torch's compiler takes seconds to import

    patched: AbstractContextManager[None] = config.patch(optimize_ddp=False)
    return patched


@contextmanager
def _model_prepared(model: Transformer, training: TrainingConfig) -> Iterator[None]:
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
