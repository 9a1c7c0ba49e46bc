"""Begin with a model that no process holds whole: without values, until each has its own part.

The model is built on the meta device, where tensors have shapes and nothing else. Once it is split,
each process gets memory for its part alone, which is filled tensor by tensor.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from attrs import frozen

from mypt.engine.checkpoints.build import build_tokenizer, take_description
from mypt.engine.language_model import LanguageModel, check_new, first_seed
from mypt.engine.runtime.fsdp import cut_part, materialise, shard, write_part, write_whole
from mypt.engine.runtime.out_of_memory import LOADING, explain_oom
from mypt.format.layout import HEAD
from mypt.model.assembly import restore_buffers
from mypt.model.initialisation import initialise
from mypt.model.part_failures import find_origins

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.engine.runtime.world import World
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins


@frozen
class Outline:
    """A model whose parameters have no values yet.

    Attributes:
        model: The model, with its parameters on the meta device.
        fill: Gives it this process's part of each of them, once it is split and has memory.
    """

    model: LanguageModel
    fill: Callable[[LanguageModel], None]

    def split(
        self, world: World, device: torch.device, autocast_to: torch.dtype | None
    ) -> LanguageModel:
        """Return the model with this process's part of each tensor; see `shard`."""
        model = shard(self.model, world, device, autocast_to)
        materialise(model, device)
        self.fill(model)
        return model


def is_split(training: TrainingConfig, world: World) -> bool:
    """Return whether the processes of a run hold parts of its model."""
    return training.shard and world.size > 1


def outline_new(
    config: GPTConfig, tokenizer: Tokenizer | None, seed: int, plugins: Plugins
) -> Outline | None:
    """Outline a model whose weights will be those that a `LanguageModel` of that seed has.

    Args:
        config: The architecture.
        tokenizer: Its tokenizer.
        seed: Decides the first weights.
        plugins: Where its parts are looked up.

    Returns:
        None where a part of a plugin sets values of its own, for which it needs the whole.

    Raises:
        ConfigError: There can be no such model.
        PluginError: A part of the config is of no registered plugin.
    """
    with torch.device("meta"):
        model = LanguageModel(config, tokenizer, plugins=plugins)
    check_new(model)
    if _sets_values(model):
        return None
    restore_buffers(model)
    return Outline(model, partial(initialise, seed=first_seed(seed), write=write_whole))


def _sets_values(model: LanguageModel) -> bool:
    origins = find_origins(model)
    return any(
        hasattr(module, "reset")
        for part in model.parts
        if part.slot in origins
        for module in part.module.modules()
    )


@explain_oom(LOADING)
def outline_saved(
    opened: Opened, plugins: Plugins, world: World, config: GPTConfig | None = None
) -> Outline:
    """Outline the model of a checkpoint, and read this process's part of each tensor.

    Args:
        opened: The checkpoint, which is no adapter.
        plugins: Where parts and tokenizers are looked up.
        world: The processes that will hold parts.
        config: Its architecture, by default that of the checkpoint; of the same tensors.

    Raises:
        FormatError: The weights are damaged, or do not fit the architecture.
    """
    with torch.device("meta"):
        model = LanguageModel(
            config or opened.config, build_tokenizer(opened.tokenizer, plugins), plugins=plugins
        )
    take_description(model, opened)
    model.check_shapes(opened.shapes(), str(opened.path))
    parts = dict(opened.weights(partial(_read_part, world=world)))
    if model.config.tie_weights:
        parts.pop(HEAD, None)
    restore_buffers(model)
    return Outline(model, partial(_put_parts, parts=parts))


def _read_part(tensor: torch.Tensor, *, world: World) -> torch.Tensor:
    """Return this process's part of a tensor in float32, in memory of its own."""
    part = cut_part(tensor, world.rank, world.size)
    return part.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _put_parts(model: LanguageModel, parts: dict[str, torch.Tensor]) -> None:
    """Write parts to a model; they are dropped on the way, so that none is there twice."""
    for name, parameter in model.named_parameters():
        write_part(parameter, parts.pop(name))
