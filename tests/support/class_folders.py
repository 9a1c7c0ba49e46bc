"""Models written for classes of `transformers`, without the companions of an exported folder."""

import json

import torch

from mypt.export.hugging_face.classes import describe
from mypt.format.documents.config import GPTConfig
from mypt.format.open import open_checkpoint
from mypt.format.readers.shared.tensor_source import split_tensors
from mypt.format.rules.equivalence import list_differences
from mypt.format.tensors import safetensors
from mypt.model.transformer import Transformer
from mypt.plugins.manager import load_plugins

PLUGINS = load_plugins()
IDS = torch.arange(20).reshape(2, 10) * 7 % 61
SIZES = {"block_size": 16, "vocab_size": 61, "n_embd": 24, "n_head": 4, "n_layer": 3}
SIZES |= {"mlp_hidden": 20, "head_bias": False}


def make_model(fields):
    config = GPTConfig(**{**SIZES, **fields}, dropout=0.0)
    model = Transformer(config, PLUGINS).eval()
    torch.manual_seed(4)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def write(model, folder):
    """Write a folder as the exporter does, without its companions; return what it needs."""
    told = describe(model.config)
    tensors = split_tensors(told.sources, model.state_dict())
    tensors |= {name: torch.zeros(shape) for name, shape in told.zeros.items()}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(told.hf_config))
    with (folder / "model.safetensors").open("wb") as stream:
        safetensors.write(stream, tensors)
    return told


def check_way_back(model, folder):
    """Check that a folder opens with the tensors and the architecture of the model, bit by bit."""
    opened = open_checkpoint(folder, PLUGINS)
    weights, held = opened.weights(), model.state_dict()
    assert list_differences(opened.config, model.config) == []
    assert weights.keys() == held.keys()
    assert all(torch.equal(weights[name], held[name]) for name in held)


def edit(folder, **change):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
