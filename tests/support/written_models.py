"""Models of mypt, written as a family of `transformers` describes them."""

import json

import torch

import mypt
from mypt.format.documents.config import GPTConfig
from mypt.format.layout import HEAD, expected_tensors
from mypt.format.open import open_checkpoint
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.shared.tensor_source import split_tensors
from mypt.format.tensors import safetensors
from mypt.model.transformer import Transformer
from tests.support.neighbour_models import IDS

SIZES = {"block_size": 16, "vocab_size": 61, "n_embd": 24, "n_layer": 3, "n_head": 4}


def write_as(model_type, fields, plugins, folder):
    """Write a random model of a config, and return it."""
    config, family = GPTConfig(**{**SIZES, "dropout": 0.0, **fields}), FAMILIES[model_type]
    torch.manual_seed(5)
    model = Transformer(config, plugins).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    held = family.describe(config)
    complete = {**family.defaults, **held}
    find_source = family.make_lookup(config, family.prefix, complete)
    names = [n for n in expected_tensors(config, plugins.layouts) if not is_tied(config, n)]
    tensors = split_tensors({name: find_source(name) for name in names}, model.state_dict())
    folder.mkdir()
    document = {"model_type": model_type, "architectures": [family.classes[0]], **held}
    (folder / "config.json").write_text(json.dumps(document))
    with (folder / "model.safetensors").open("wb") as stream:
        safetensors.write(stream, {name: t.contiguous() for name, t in tensors.items()})
    return model


def is_tied(config, name):
    return config.tie_weights and name == HEAD


def check_written(model_type, fields, transformers, plugins, folder):
    """Compare a written model with that of the real class, and with what mypt reads again."""
    ours = write_as(model_type, fields, plugins, folder)
    cls = getattr(transformers, FAMILIES[model_type].classes[0])
    theirs, info = cls.from_pretrained(folder, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(IDS).logits, ours(IDS), atol=1e-5, rtol=0)
    again = mypt.load(folder, plugins=plugins)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    found, wanted = open_checkpoint(folder, plugins).config, ours.config
    for name in ("n_kv_head", "head_size", "rope_size", "mlp_type", "block_type", "plugins"):
        assert found.meaning_of(name) == wanted.meaning_of(name), name
