"""Tiny real models for the tests of `mypt.model`."""

import pytest
import torch

import mypt.model.plugin
from mypt.format.documents.config import GPTConfig
from mypt.format.version import DISTRIBUTION
from mypt.model.initialisation import initialise
from mypt.model.transformer import Transformer
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import Plugins

TINY = {
    "block_size": 16,
    "vocab_size": 31,
    "n_embd": 24,
    "n_head": 3,
    "n_layer": 2,
    "dropout": 0.0,
}


@pytest.fixture(scope="session")
def plugins():
    plugins = Plugins()
    plugins.register(mypt.model.plugin, PluginOrigin("mypt.model.plugin", DISTRIBUTION, "0"))
    return plugins


@pytest.fixture(scope="session")
def tiny():
    return lambda **changed: GPTConfig(**{**TINY, **changed})


@pytest.fixture(scope="session")
def make_model(plugins, tiny):
    """Build a model whose values are large enough that every part shows in the logits."""

    def make(**changed):
        model = Transformer(tiny(**changed), plugins)
        initialise(model, 0)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.empty_like(parameter).normal_(0, 0.2, generator=generator))
        return model.eval()

    return make


@pytest.fixture
def ids():
    """Draw ids (B, T) below 31."""
    generator = torch.Generator().manual_seed(2)
    return lambda *shape: torch.randint(31, shape, generator=generator)
