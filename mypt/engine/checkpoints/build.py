"""Build the model of a checkpoint: the one place where weights become a module."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from mypt.engine.checkpoints.adapters.base import open_base
from mypt.engine.checkpoints.origin import read_history
from mypt.engine.runtime.devices import choose_device
from mypt.engine.runtime.out_of_memory import LOADING, explain_oom
from mypt.format.documents.convert import to_document
from mypt.format.layout import POSITIONS
from mypt.model.lora.attachment import attach_adapter, tie_head
from mypt.model.transformer import trust_config
from mypt.plugins.requirements import is_tokenizer_here
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.opened import Opened
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

M = TypeVar("M", bound="LanguageModel")


def build_tokenizer(state: TokenizerState | None, plugins: Plugins) -> Tokenizer | None:
    """Build the tokenizer of a bundle.

    Returns:
        None for a model of bare ids, and where no installed plugin offers its kind, or it requires
        what is not here: the weights can be used without it.
    """
    if state is None or not is_tokenizer_here(state, plugins):
        return None
    return build_from_state(to_document(state), plugins)


@explain_oom(LOADING)
def build_model(
    opened: Opened,
    plugins: Plugins,
    *,
    cls: type[M],
    for_training: bool = False,
    config: GPTConfig | None = None,
    device: str | torch.device | None = "cpu",
) -> M:
    """Build the model of a checkpoint, in float32.

    Args:
        opened: The checkpoint.
        plugins: Where its parts and its tokenizer are looked up.
        cls: Class of the model.
        for_training: Give the model memory of its own. Without it the weights stay mapped to
            the file, which costs no reading and no memory until they are used.
        config: Its architecture, by default that of the checkpoint. Where positions are learned,
            `block_size` may be smaller: the first positions are kept.
        device: Its device; None for the fastest available one.

    Raises:
        ConfigError: This machine has no such device.
        FormatError: The weights are damaged, or do not fit the architecture.
        OutOfMemoryError: The memory of the device is too small.
    """
    place = choose_device(device)
    if opened.config.adapter is not None:
        model = _build_adapted(opened, plugins, cls, config or opened.config, for_training)
        if place.type != "cpu":
            model = model.to(place)
            tie_head(model)
        return model
    tokenizer = build_tokenizer(opened.tokenizer, plugins)
    proved = opened.config if opened.is_proved else None
    with torch.device("meta"), trust_config(proved):
        model = cls(config or opened.config, tokenizer, plugins=plugins)
    take_description(model, opened)
    weights = dict(opened.weights(partial(_convert, copy=for_training)))
    if config is not None and POSITIONS in weights:
        weights[POSITIONS] = weights[POSITIONS][: config.block_size].clone()
    model.load_weights(weights, file=str(opened.path))
    model.train(for_training)
    return model if place.type == "cpu" else model.to(place)  # which moves tables, too


def take_description(model: LanguageModel, opened: Opened) -> None:
    """Let a model know what its checkpoint says of it."""
    model.tokenizer_state = opened.tokenizer
    model.needs = opened.needs
    model.opened_from = opened.path
    model.history = read_history(opened)


def _build_adapted(
    opened: Opened, plugins: Plugins, cls: type[M], config: GPTConfig, for_training: bool
) -> M:
    """Build the base of an adapter, and put the adapter beside it."""
    if config.adapter is None:
        raise ValueError(config)
    base = open_base(opened, plugins)
    model = build_model(
        base, plugins, cls=cls, for_training=for_training, config=config.without_adapter()
    )
    attach_adapter(model, config.adapter)
    model.tokenizer = build_tokenizer(opened.tokenizer, plugins)
    take_description(model, opened)
    weights = opened.weights(partial(_convert, copy=for_training))
    model.load_weights(weights, file=str(opened.path))
    model.train(for_training)
    return model


def _convert(tensor: torch.Tensor, *, copy: bool) -> torch.Tensor:
    """Return a tensor in float32; a copy has its values in order."""
    return tensor.to(torch.float32, copy=copy, memory_format=torch.contiguous_format)
