import json

import numpy as np
import pytest
import torch

import mypt
from mypt.export.gguf.model import describe, explain
from mypt.format.documents.config import GPTConfig

SIZES = {"n_embd": 64, "n_head": 4, "n_layer": 4, "vocab_size": 96, "block_size": 64}
LEARNED = {"mlp_type": "gelu_tanh", "head_bias": False}
ROPE = {
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "head_bias": False,
}
GEMMA = ROPE | {"mlp_type": "geglu_tanh", "tie_weights": True, "embedding_scale": 8.0}
SCALING = {"factor": 8.0, "original_block_size": 16}
LLAMA3 = {"kind": "llama3", **SCALING, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
# By the architecture that they are written for, in some cases with something folded.
WRITTEN = {
    "gpt2": [LEARNED, LEARNED | {"bias": True, "tie_weights": True}, LEARNED | {"attn_scale": 0.3}],
    "llama": [
        ROPE,
        ROPE | {"n_kv_head": 2, "tie_weights": True},
        ROPE | {"head_size": 8},
        ROPE | {"bias": True, "mlp_bias": True},
        ROPE | {"norm_offset": 1.0},
        ROPE | {"rope_scale": 4.0},
        ROPE | {"rope_scaling": LLAMA3},
        ROPE | {"rope_scaling": {"kind": "yarn", **SCALING}},
        ROPE | {"rope_scaling": {"kind": "yarn", **SCALING, "attention_factor": 1.25}},
    ],
    "phi3": [ROPE | {"rope_size": 8}],
    "qwen2": [ROPE | {"qkv_bias": True}],
    "qwen3": [ROPE | {"qk_norm": "head"}],
    "olmo2": [ROPE | {"qk_norm": "width", "block_type": "res_post_norm"}],
    "olmo": [ROPE | {"norm_type": "layernorm", "norm_weight": False}],
    "granite": [ROPE | {"residual_scale": 0.5, "attn_scale": 0.3, "logit_scale": 0.5}],
    "smollm3": [ROPE | {"rope_pattern": "RRRN"}],
    "stablelm": [
        ROPE | {"norm_type": "layernorm", "rope_size": 8},
        ROPE | {"norm_type": "layernorm", "block_type": "parallel", "qkv_bias": True},
    ],
    "starcoder2": [LEARNED | {"pos_encoding": "rope"}],
    "phi2": [
        LEARNED | {"pos_encoding": "rope", "block_type": "parallel", "head_bias": True},
        LEARNED
        | {"pos_encoding": "rope", "block_type": "parallel", "rope_size": 8}
        | {"tie_weights": True},
    ],
    "gemma": [GEMMA, GEMMA | {"norm_offset": 1.0}],
    "gemma2": [
        GEMMA
        | {"block_type": "sandwich_norm", "attn_soft_cap": 50.0, "logit_soft_cap": 30.0}
        | {"sliding_window": 16, "window_pattern": "SF"},
        GEMMA | {"block_type": "sandwich_norm", "attn_soft_cap": 20.0, "logit_soft_cap": 9.0},
    ],
    "gemma3": [
        GEMMA | {"block_type": "sandwich_norm", "qk_norm": "head"},
        GEMMA
        | {"block_type": "sandwich_norm", "qk_norm": "head", "rope_theta": 1e6}
        | {"sliding_window": 16, "window_pattern": "SSSSSF", "rope_theta_sliding": 1e4},
    ],
}
CASES = [(name, fields) for name, several in WRITTEN.items() for fields in several]
# By the fields, the reasons: the field and the flag that would do.
REFUSED = [
    ({"head_bias": False}, {"mlp_type": "with --mlp_type gelu_tanh"}),
    (
        {"head_bias": True},
        {"mlp_type": "with --mlp_type gelu_tanh", "head_bias": "with --no_head_bias"},
    ),
    (  # gptneox, whose GELU llama.cpp computes otherwise
        {"pos_encoding": "rope", "block_type": "parallel_two_norms", "head_bias": False},
        {"mlp_type": "with --mlp_type gelu_tanh", "block_type": "with --block_type pre_norm"},
    ),
    (ROPE | {"sliding_window": 16}, {"sliding_window": "without --sliding_window"}),
    (
        ROPE | {"rope_scaling": {"kind": "dynamic", **SCALING}},
        {"rope_scaling": "without --rope_scaling"},
    ),
    (
        LEARNED | {"head_size": 8, "attn_scale": 0.25, "rope_size": 16},
        {"head_size": "with --head_size 16"},
    ),
    (  # llama.cpp divides by the caps
        GEMMA | {"block_type": "sandwich_norm", "attn_soft_cap": 20.0},
        {"logit_soft_cap": "with --logit_soft_cap 30.0"},
    ),
    (ROPE | {"mlp_type": "reglu"}, {"mlp_type": "with --mlp_type swiglu"}),
    (ROPE | {"block_type": "post_norm", "final_norm": True}, {"block_type": "with --block_type"}),
    (ROPE | {"qk_norm": "head", "attn_scale": 0.3}, {"attn_scale": "with --attn_scale 0.25"}),
    (ROPE | {"qk_norm": "head", "rope_pattern": "RN"}, {"rope_pattern": "--rope_pattern"}),
]


def make(fields):
    return GPTConfig(**SIZES | fields)


@pytest.mark.parametrize(("name", "fields"), CASES, ids=lambda value: str(value)[:60])
def test_a_config_is_written_for_the_architecture_that_computes_it(name, fields):
    config = make(fields)
    assert explain(config) == []
    assert describe(config).architecture.name == name


@pytest.mark.parametrize(("fields", "reasons"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_none_computes_is_told_with_the_nearest_flag(fields, reasons):
    problems = explain(make(fields))
    assert {problem.where: True for problem in problems} == {f"/{name}": True for name in reasons}
    for problem in problems:
        assert reasons[problem.where[1:]] in problem.fix
        assert "the nearest architecture of llama.cpp" in problem.what


def test_a_part_of_a_plugin_is_refused_by_its_name():
    (problem,) = explain(make({"pos_encoding": "alibi"}))
    assert (problem.where, problem.kind) == ("/pos_encoding", "export.unsupported")
    assert "alibi, a part of a plugin" in problem.what


def test_explaining_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; from mypt.export.gguf.exporter import EXPORTER; "
        "from mypt.format.documents.config import GPTConfig; EXPORTER.explain(GPTConfig()); "
        "assert 'torch' not in sys.modules and 'gguf' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def llama_cpp():
    pytest.importorskip("xllamacpp", reason="llama.cpp (xllamacpp) is not installed")
    from tests.support.llama_cpp import LlamaCpp

    return LlamaCpp


@pytest.mark.parametrize(("name", "fields"), CASES, ids=lambda value: str(value)[:60])
def test_mypt_and_llama_cpp_compute_the_same_of_it(name, fields, export, plugins, llama_cpp):
    """Of weights unlike a new model's; ggml rounds what goes into GELU to half precision."""
    torch.manual_seed(1)
    model = mypt.GPT(make(fields), plugins=plugins).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.15)
    path, _ = export(model)
    ids = torch.randint(0, 96, (1, 40))
    with torch.no_grad():
        wanted = model(ids)
        back = mypt.load(path, plugins=plugins)(ids)
    np.testing.assert_allclose(back.numpy(), wanted.numpy(), atol=2e-5, rtol=0)
    found = llama_cpp(path).log_probs(ids[0].tolist(), 96)
    most = 4e-3 if "gelu" in fields["mlp_type"] or "geglu" in fields["mlp_type"] else 1e-4
    last = wanted[0, -1].double().log_softmax(0).numpy()
    np.testing.assert_allclose(found, last, atol=most, rtol=0)


def test_keys_have_the_types_that_llama_cpp_reads():
    for _, fields in CASES:
        floats = {name: value for name, value in fields.items() if isinstance(value, float)}
        integral = {name: int(value) for name, value in floats.items() if value % 1 == 0}
        keys = describe(make(fields | integral)).keys
        assert json.dumps(keys) == json.dumps(describe(make(fields)).keys)
