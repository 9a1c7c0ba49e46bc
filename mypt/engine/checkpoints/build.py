"""Bundles of models: write one from a model, build a model from one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

import torch

from mypt.format.documents.convert import to_document
from mypt.format.errors import one_line
from mypt.model.initialisation import WithoutValues

if TYPE_CHECKING:
    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.open import Opened
    from mypt.plugins.contracts import Tokenizer
    from mypt.plugins.manager import Plugins

OPTIMIZER_FILE = "optimizer.pt"


M = TypeVar("M", bound="LanguageModel")
_LOGGER = logging.getLogger("mypt")


def log_warnings(opened: Opened) -> None:
    """Log what a program that opens a checkpoint for inference should know of it."""
    for line in opened.warnings:
        _LOGGER.warning("%s", one_line(line))


def build_tokenizer(state: TokenizerState | None, plugins: Plugins) -> Tokenizer | None:
    """Build the tokenizer of a bundle.

    Returns:
        None for a model of bare ids, and where no installed plugin offers its kind: the weights
        can be used without it.
    """
    if state is None or state.token_kind not in plugins.tokenizers:
        return None
    return plugins.tokenizer(state.token_kind).build(to_document(state))


def build_model(opened: Opened, plugins: Plugins, *, cls: type[M], for_training: bool) -> M:
    """Build the model of a checkpoint, on the CPU, in float32.

    Args:
        opened: The checkpoint.
        plugins: Where its parts and its tokenizer are looked up.
        cls: Class of the model.
        for_training: Give the model memory of its own. Without it the weights stay mapped to
            the file, which costs neither the reading nor the memory until they are used.
    """
    with torch.device("meta"), WithoutValues():
        model = cls(opened.config, build_tokenizer(opened.tokenizer, plugins), plugins=plugins)
    model.tokenizer_state = opened.tokenizer
    model.needs = opened.needs
    weights = opened.weights()
    if for_training:
        weights = {name: tensor.clone() for name, tensor in weights.items()}
    model.load_weights(weights, file=str(opened.path))
    return model.train(for_training)
