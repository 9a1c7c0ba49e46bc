"""Set up the model and torch for a run: freeze, checkpoint, compile, be deterministic."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from mypt.data.document_ends import find_end_id
from mypt.format.documents.special_tokens import END_OF_TEXT
from mypt.format.errors import ConfigError, Problem, format_count
from mypt.format.optimizers.parameter_rules import is_frozen
from mypt.model.torch_private import compile_whole_layers, discard_compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.nn import Parameter

    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.training import TrainingConfig
    from mypt.model.transformer import Transformer


def check_freezing(model: Transformer, training: TrainingConfig) -> None:
    """Raise if more layers are to be frozen than the model has.

    Raises:
        ConfigError: There are fewer.
    """
    there = len(model.blocks.layers)
    if training.freeze_layers > there:
        what = f"is {training.freeze_layers}, but the model has {format_count(there, 'layer')}"
        raise ConfigError(Problem("", "freeze_layers", what, f"choose at most {there}"))


def find_document_end(model: LanguageModel, training: TrainingConfig) -> int | None:
    """Return the id that ends a document for attention; None where it crosses from one to another.

    Raises:
        ConfigError: Documents are to be masked, but the model's tokenizer has no `<|endoftext|>`.
    """
    if not training.document_mask:
        return None
    end_id = None if model.tokenizer is None else find_end_id(model.tokenizer)
    if end_id is None:
        what = f"needs a tokenizer with the token {END_OF_TEXT}, which stands between documents"
        fix = "leave it out, or train a new model with another tokenizer, such as gpt2"
        raise ConfigError(Problem("", "document_mask", what, fix, kind="training.documents"))
    return end_id


def trained_parameters(model: Transformer, training: TrainingConfig) -> set[Parameter]:
    """Return the parameters that a run will change."""
    trainable = {parameter for parameter in model.parameters() if parameter.requires_grad}
    return trainable - {*_frozen_parameters(model, training)}


@contextmanager
def set_up_model(
    model: Transformer, training: TrainingConfig, document_end: int | None = None
) -> Iterator[None]:
    """Freeze, checkpoint, mask and compile as the hyperparameters say, while a run lasts.

    Layers are compiled one by one: they are alike, so the code of the first serves all, and
    neither names nor tensors of the model change.
    """
    with ExitStack() as stack:
        if next(model.parameters()).device.type == "cuda":
            stack.enter_context(repeatable())
        if training.compile:
            stack.enter_context(compile_whole_layers())
        stack.enter_context(_set_up_layers(model, training))
        model.document_end = document_end
        stack.callback(setattr, model, "document_end", None)
        yield


@contextmanager
def repeatable() -> Iterator[None]:
    """Make torch deterministic on a GPU; on a CPU it is anyway.

    Otherwise the backward pass of attention sums in the order in which blocks finish, and the
    compiler may choose kernels by their time, so that no run could be repeated bit for bit.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # a module with a setting that type checkers do not see
    fills = memory.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # none is read before it is written
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        memory.fill_uninitialized_memory = fills


@contextmanager
def _set_up_layers(model: Transformer, training: TrainingConfig) -> Iterator[None]:
    frozen = [
        parameter for parameter in _frozen_parameters(model, training) if parameter.requires_grad
    ]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        model.activation_checkpointing = training.activation_checkpointing
        if training.compile:
            for layer in model.blocks.layers:
                layer.compile()
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        model.activation_checkpointing = False
        for layer in model.blocks.layers:
            discard_compiled(layer)


def _frozen_parameters(model: Transformer, training: TrainingConfig) -> Iterator[Parameter]:
    for name, parameter in model.named_parameters():
        if is_frozen(name, training.freeze_layers, training.freeze_embeddings):
            yield parameter
