"""Models written for classes of `transformers`, without the companions of an exported folder."""

import json

import torch

from mypt.export.hugging_face.classes import describe, explain
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
LLAMA = {"pos_encoding": "rope", "norm_type": "rmsnorm", "mlp_type": "swiglu"}
HALF = {"n_kv_head": 2}
GEMMA = {**LLAMA, "mlp_type": "geglu_tanh", "norm_offset": 1.0, "embedding_scale": 24**0.5}
LAYERNORM = {"pos_encoding": "rope", "norm_bias": True}
YARN = {"kind": "yarn", "factor": 4.0, "original_block_size": 8}
# A class, and the config that is written for it.
WRITTEN = [
    ("GPT2LMHeadModel", {}),
    ("GPT2LMHeadModel", {"bias": True, "tie_weights": True, "mlp_type": "gelu_tanh"}),
    ("LlamaForCausalLM", LLAMA),
    ("LlamaForCausalLM", {**LLAMA, **HALF, "head_size": 10, "tie_weights": True}),
    ("LlamaForCausalLM", {**LLAMA, "bias": True, "mlp_bias": True, "mlp_type": "geglu"}),
    ("LlamaForCausalLM", {**LLAMA, "rope_scaling": YARN, "rope_theta": 500.0}),
    ("LlamaForCausalLM", {**LLAMA, "rope_scale": 2.0, "norm_eps": 1e-3}),
    ("MistralForCausalLM", {**LLAMA, "sliding_window": 4}),
    ("Qwen2ForCausalLM", {**LLAMA, "qkv_bias": True}),
    ("Qwen2ForCausalLM", {**LLAMA, "qkv_bias": True, "sliding_window": 4}),
    ("SmolLM3ForCausalLM", {**LLAMA, "sliding_window": 4, "window_pattern": "FS"}),
    ("Qwen3ForCausalLM", {**LLAMA, "qk_norm": "head", **HALF}),
    (
        "Qwen3ForCausalLM",
        {**LLAMA, "qk_norm": "head", "bias": True, "sliding_window": 4, "window_pattern": "FSS"},
    ),
    ("GemmaForCausalLM", GEMMA),
    ("GemmaForCausalLM", {**GEMMA, "n_kv_head": 1, "head_size": 10, "tie_weights": True}),
    (
        "Gemma2ForCausalLM",
        {**GEMMA, "block_type": "sandwich_norm", "attn_soft_cap": 3.0, "logit_soft_cap": 2.0},
    ),
    (
        "Gemma2ForCausalLM",
        {**GEMMA, "block_type": "sandwich_norm", "sliding_window": 4, "attn_scale": 7**-0.5},
    ),
    ("Gemma3ForCausalLM", {**GEMMA, "block_type": "sandwich_norm", "qk_norm": "head"}),
    (
        "Gemma3ForCausalLM",
        {**GEMMA, "block_type": "sandwich_norm", "qk_norm": "head", "rope_scale": 2.0}
        | {"rope_theta_sliding": 500.0, "sliding_window": 4, "window_pattern": "SSF"},
    ),
    ("Olmo2ForCausalLM", {**LLAMA, "block_type": "res_post_norm", "qk_norm": "width", **HALF}),
    ("OlmoForCausalLM", {**LLAMA, "norm_type": "layernorm", "norm_weight": False}),
    ("SmolLM3ForCausalLM", {**LLAMA, "rope_pattern": "RRN"}),
    (
        "SmolLM3ForCausalLM",
        {**LLAMA, "rope_pattern": "NR", "sliding_window": 4, "window_pattern": "SF"},
    ),
    ("StableLmForCausalLM", {**LAYERNORM, "mlp_type": "swiglu", "rope_size": 4}),
    (
        "StableLmForCausalLM",
        {**LAYERNORM, "mlp_type": "swiglu", "block_type": "parallel", "qkv_bias": True},
    ),
    ("Starcoder2ForCausalLM", {**LAYERNORM, "bias": True, "mlp_type": "gelu_tanh", **HALF}),
    ("Starcoder2ForCausalLM", {**LAYERNORM, "mlp_bias": False, "sliding_window": 4}),
    ("Phi3ForCausalLM", {**LLAMA, "rope_size": 4}),
    ("Phi3ForCausalLM", {**LLAMA, "rope_size": 2, "sliding_window": 4, **HALF}),
    (
        "GraniteForCausalLM",
        {**LLAMA, "embedding_scale": 12.0, "logit_scale": 0.3, "residual_scale": 0.22}
        | {"attn_scale": 0.1, "bias": True},
    ),
]


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


def check_written(name, fields, transformers, folder):
    """Check that a model is written for a class, has its logits there, and comes back."""
    model = make_model(fields)
    assert explain(model.config) == []
    told = write(model, folder)
    assert told.hf_config["architectures"] == [name]
    auto = transformers.AutoModelForCausalLM
    theirs, info = auto.from_pretrained(folder, output_loading_info=True)
    assert type(theirs).__name__ == name
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        found = theirs.eval()(IDS).logits
        torch.testing.assert_close(found, model(IDS), atol=1e-5, rtol=0)
    check_way_back(model, folder)
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
