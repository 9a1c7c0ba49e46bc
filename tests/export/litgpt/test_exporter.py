"""What is exported has the logits of the model by the text of litgpt's `model.py`.

The folders were loaded by litgpt 0.5.13 itself too, with the same logits.
"""

import json
import shutil
import sys

import pytest
import torch
import yaml

import mypt
from mypt.api.export import export_model
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.plugins.manager import load_plugins
from tests.support.litgpt_models import CASES, IDS, compute_logits, make_tensors, write_folder
from tests.support.paths import FIXTURES

PLUGINS = load_plugins()
SIZES = {"block_size": 24, "vocab_size": 64, "n_embd": 32, "n_head": 4, "n_layer": 3}
ROPE = {"pos_encoding": "rope", "head_bias": False, "dropout": 0.0}
LLAMA = {**ROPE, "norm_type": "rmsnorm", "mlp_type": "swiglu"}
LLAMA3 = {"kind": "llama3", "factor": 4.0, "original_block_size": 8}
GEMMA = {"norm_offset": 1.0, "embedding_scale": 32**0.5, "mlp_type": "geglu_tanh"}
WINDOWS = {"sliding_window": 5, "window_pattern": "SF"}
MODELS = {
    "plain": ROPE,
    "head_bias": {**ROPE, "head_bias": True},
    "llama": LLAMA,
    "tied": {**LLAMA, "n_kv_head": 2, "tie_weights": True},
    "parallel": {
        **ROPE,
        "bias": True,
        "block_type": "parallel",
        "mlp_type": "gelu_tanh",
        "rope_size": 3,
    },
    "two_norms": {**ROPE, "block_type": "parallel_two_norms", "rope_size": 2, "mlp_bias": False},
    "gemma": {
        **LLAMA,
        **GEMMA,
        **WINDOWS,
        "block_type": "sandwich_norm",
        "attn_scale": 0.21,
        "rope_theta_sliding": 100.0,
        "rope_scale": 2.0,
        "attn_soft_cap": 20.0,
        "logit_soft_cap": 15.0,
    },
    "norms_behind": {**LLAMA, "block_type": "res_post_norm", "qk_norm": "width"},
    "scaled": {
        **LLAMA,
        "qk_norm": "head",
        "head_size": 12,
        "rope_scale": 2.0,
        "rope_scaling": {**LLAMA3, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    },
    "bare_norms": {**ROPE, "norm_weight": False, "mlp_type": "geglu", "mlp_hidden": 50},
    "not_rotated": {**LLAMA, "rope_pattern": "N", "qkv_bias": True},
    "some_biases": {**ROPE, "norm_bias": False, "qkv_bias": True},
}


@pytest.fixture
def saved(tmp_path):
    def make(**fields):
        model = mypt.GPT(mypt.GPTConfig(**{**SIZES, **fields}), plugins=PLUGINS).eval()
        torch.manual_seed(4)
        for p in model.parameters():
            torch.nn.init.normal_(p, std=0.3)
        model.save(tmp_path / "model")
        return model

    return make


def read_exported(folder):
    held = yaml.safe_load((folder / "model_config.yaml").read_text("utf-8"))
    return held, torch.load(folder / "lit_model.pth", weights_only=True)["model"]


@pytest.mark.parametrize("name", MODELS)
def test_litgpt_computes_the_same(saved, tmp_path, name):
    model = saved(**MODELS[name])
    notes = export_model(tmp_path / "model", "litgpt", tmp_path / "lit", plugins=PLUGINS)
    held, tensors = read_exported(tmp_path / "lit")
    with torch.no_grad():
        wanted = model(IDS)[0]
    torch.testing.assert_close(compute_logits(tensors, held, IDS[0]), wanted, atol=1e-5, rtol=0)
    back = mypt.load(tmp_path / "lit", plugins=PLUGINS)
    with torch.no_grad():
        torch.testing.assert_close(back(IDS)[0], wanted, atol=0, rtol=0)
    assert bool(notes) == (name in ("plain", "head_bias", "some_biases"))
    assert back.config.tie_weights == model.config.tie_weights


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("interleaved")])
def test_what_came_from_litgpt_goes_back_as_it_was(tmp_path, name):
    tensors = make_tensors(CASES[name])
    write_folder(tmp_path / "first", CASES[name], tensors)
    export_model(tmp_path / "first", "litgpt", tmp_path / "second", plugins=PLUGINS)
    _, back = read_exported(tmp_path / "second")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in tensors.items())
    third = mypt.load(tmp_path / "second", plugins=PLUGINS).config
    first = mypt.load(tmp_path / "first", plugins=PLUGINS).config
    assert third == first


TOKENIZER = FIXTURES / "neighbours" / "litgpt_llama"


@pytest.mark.skipif(not TOKENIZER.is_dir(), reason="no checkpoints of neighbours beside this")
@pytest.mark.parametrize("adds", [True, False])
def test_the_tokenizer_comes_along(tmp_path, adds):
    sizes = {"padded_vocab_size": 400, "vocab_size": 384}
    case = CASES["llama"] | sizes
    first = write_folder(tmp_path / "first", case, make_tensors(case))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER / name, first / name)
    told = json.loads((first / "tokenizer_config.json").read_text("utf-8"))
    text = json.dumps({**told, "add_bos_token": adds})
    (first / "tokenizer_config.json").write_text(text, "utf-8")
    export_model(first, "litgpt", tmp_path / "second", plugins=PLUGINS)
    one, other = (open_checkpoint(tmp_path / n, PLUGINS).tokenizer for n in ("first", "second"))
    assert (one.add_bos, one.special_tokens) == (other.add_bos, other.special_tokens)
    assert other.add_bos == adds
    written = json.loads((tmp_path / "second" / "tokenizer_config.json").read_text("utf-8"))
    assert written["tokenizer_class"]


def test_a_missing_package_is_named_and_nothing_is_left(saved, tmp_path, monkeypatch):
    saved(**LLAMA)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(FormatError, match="needs PyYAML"):
        export_model(tmp_path / "model", "litgpt", tmp_path / "lit", plugins=PLUGINS)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
