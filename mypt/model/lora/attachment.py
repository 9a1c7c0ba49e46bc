"""Put an adapter beside a model that itself stays as it is, and merge it.

What stays is held in buffers that are not saved. So the parameters of the model, and the tensors of
its checkpoint, its optimizer and its mean, are those of the adapter alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from mypt.format.adapters.places import A, B, find_places
from mypt.format.errors import ConfigError, Problem
from mypt.format.layout import lay_out
from mypt.model.lora.layers import Adapted, LoraLinear, LoraPair, LoraParts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.format.adapters.places import Place
    from mypt.format.documents.config_parts.adapter import Adapter
    from mypt.model.transformer import Transformer

_KIND = "adapter.target"


def attach_adapter(model: Transformer, adapter: Adapter) -> None:
    """Put an adapter of zeros beside a model, whose own weights then stay as they are.

    Args:
        model: A whole model.
        adapter: The adapter.

    Raises:
        ConfigError: A target names nothing that an adapter can be put beside.
    """
    config = model.config.with_adapter(adapter)
    layout = lay_out(model.config, model.plugins.layouts)
    adapted: list[tuple[str, nn.Module]] = []
    for layer in range(config.n_layer):
        places: dict[str, list[Place]] = {}
        for place in find_places(layout.layer(layer), config, adapter):
            places.setdefault(f"{layout.prefix}{layer}.{place.matrix}", []).append(place)
        for name, found in places.items():
            adapted.append((name, _adapt(model.get_submodule(name), name, found, adapter)))
    for name, module in adapted:
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, module)
    for module in model.modules():
        if not isinstance(module, LoraPair):
            _freeze(module)
    model.config = config
    tie_head(model)


def _adapt(layer: nn.Module, name: str, places: Sequence[Place], adapter: Adapter) -> nn.Module:
    if type(layer) is not nn.Linear:
        what = f"names {name}, a {type(layer).__name__}, and an adapter is for an nn.Linear"
        raise ConfigError(Problem("", "lora_targets", what, "leave that target out", kind=_KIND))
    is_whole = not places[0].part
    return LoraLinear(layer, adapter) if is_whole else LoraParts(layer, places, adapter)


def _freeze(module: nn.Module) -> None:
    """Hold the parameters of a module as buffers that are not saved."""
    for name, parameter in [*module.named_parameters(recurse=False)]:
        delattr(module, name)
        module.register_buffer(name, parameter.detach(), persistent=False)


def tie_head(model: Transformer) -> None:
    """Let the head have the matrix of the embedding again, after a model was moved.

    Of what is no parameter, torch moves what two modules share twice.
    """
    if model.config.tie_weights:
        model.lm_head.weight = model.token_embedding_table.weight


def list_frozen(model: Transformer) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the base of a model with an adapter, by name, a tied one once."""
    if model.config.adapter is None:
        return
    config = model.config.without_adapter()
    seen: set[int] = set()
    for name in lay_out(config, model.plugins.layouts).with_layers(range(config.n_layer)):
        owner, last = _find_owner(model, name)
        tensor = getattr(owner, last)
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor


def _find_owner(model: Transformer, name: str) -> tuple[nn.Module, str]:
    """Return the module that has a tensor of the base, and the tensor's name there."""
    place, _, last = name.rpartition(".")
    owner = model.get_submodule(place)
    return (cast("nn.Module", owner.base) if isinstance(owner, Adapted) else owner), last


@torch.no_grad()
def merge_adapter(model: Transformer) -> None:
    """Make a whole model of one with an adapter: it computes the same, and all of it can train."""
    for name, tensor in [*list_frozen(model)]:
        owner, last = _find_owner(model, name)
        delattr(owner, last)
        setattr(owner, last, nn.Parameter(tensor))
    for name, module in [*model.named_modules()]:
        if isinstance(module, Adapted):
            merged = module.merged()
            module.base.weight = nn.Parameter(merged)
            owner, _, last = name.rpartition(".")
            setattr(model.get_submodule(owner), last, module.base)
    model.config = model.config.without_adapter()
    tie_head(model)


@torch.no_grad()
def initialise_adapter(model: nn.Module, seed: int) -> None:
    """Set the values of an adapter: A is drawn, B is zero, so that it adds nothing yet.

    A is drawn from the uniform distribution within 1 / sqrt(columns), as peft does.

    Args:
        model: The model; numbers are drawn on the CPU.
        seed: Any 64-bit integer.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.endswith(A):
            bound = 1 / math.sqrt(parameter.size(1))
            drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
            parameter.copy_(drawn)
        elif name.endswith(B):
            parameter.zero_()
