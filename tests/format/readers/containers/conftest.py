"""Small models of transformers and of mypt, with a config file and their logits."""

import json

import pytest
import torch
from attrs import frozen

import mypt

IDS = torch.arange(20).reshape(2, 10) * 7 % 61
BARE = {"tokenizer": "none"}


@frozen
class Model:
    """A state dict, the path of the config that goes with it, and its logits for `IDS`."""

    state: dict
    config: object
    logits: torch.Tensor
    module: torch.nn.Module

    def check(self, path, plugins, atol=1e-5, **options):
        model = mypt.load(
            path, plugins=plugins, options={**BARE, "like": str(self.config), **options}
        )
        with torch.no_grad():
            torch.testing.assert_close(model(IDS).float(), self.logits, atol=atol, rtol=0)
        return model


def make_transformers(transformers, tmp_path, kind, **changed):
    sizes = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None, **changed}
    if kind == "gpt2":
        config = transformers.GPT2Config(n_positions=16, n_embd=12, n_layer=2, n_head=3, **sizes)
        made = transformers.GPT2LMHeadModel
    else:
        config = transformers.LlamaConfig(
            max_position_embeddings=16,
            hidden_size=24,
            intermediate_size=20,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            **sizes,
        )
        made = transformers.LlamaForCausalLM
    module = made(config).eval()
    config.architectures = [made.__name__]
    config.to_json_file(tmp_path / "config.json", use_diff=False)
    return module, tmp_path / "config.json", lambda: module(IDS).logits


def make_own(tmp_path, **changed):
    sizes = {"vocab_size": 61, "block_size": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}
    config = mypt.GPTConfig(**sizes, **changed)
    module = mypt.GPT(config).eval()
    held = {"format_version": "2.0", **sizes, "head_bias": False, **changed}
    (tmp_path / "own.json").write_text(json.dumps(held))
    return module, tmp_path / "own.json", lambda: module(IDS)


@pytest.fixture(params=["gpt2", "llama", "own", "own_tied"])
def model(request, transformers, tmp_path):
    torch.manual_seed(3)
    if request.param.startswith("own"):
        tied = request.param == "own_tied"
        changed = {"tie_weights": True} if tied else {}
        module, config, run = make_own(tmp_path, **changed)
    else:
        module, config, run = make_transformers(transformers, tmp_path, request.param)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        return Model(module.state_dict(), config, run(), module)
