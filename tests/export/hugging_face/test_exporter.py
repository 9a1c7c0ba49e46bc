"""Exported models give the same logits in the real `transformers`, and come back."""

import json

import pytest
import torch

import mypt
from mypt.api.export import export_model
from mypt.format.errors import FormatError, UsageError
from mypt.plugins.manager import load_plugins

PLUGINS = load_plugins()
SIZES = {"block_size": 16, "vocab_size": 61, "n_embd": 12, "n_head": 3, "n_layer": 2}
GPT2 = {}
LLAMA = {"pos_encoding": "rope", "norm_type": "rmsnorm", "mlp_type": "swiglu"}
SCALED = {"factor": 4.0, "original_block_size": 8}
LLAMA3 = {"kind": "llama3", **SCALED, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"kind": "yarn", **SCALED}
IDS = torch.arange(20).reshape(2, 10) * 7 % 61


@pytest.fixture
def saved(tmp_path):
    def make(**fields):
        model = mypt.GPT(mypt.GPTConfig(**{**SIZES, **fields}, dropout=0.0), plugins=PLUGINS).eval()
        torch.manual_seed(4)
        for p in model.parameters():
            torch.nn.init.normal_(p, std=0.3)
        model.save(tmp_path / "model")
        return model

    return make


@pytest.mark.parametrize(
    "fields",
    [
        GPT2,
        {"bias": True, "tie_weights": True, "mlp_type": "gelu_tanh"},
        {"mlp_type": "relu", "attn_scale": 0.2, "norm_bias": False, "mlp_bias": False},
        {"mlp_hidden": 20, "norm_eps": 1e-3},
        LLAMA,
        {**LLAMA, "tie_weights": True, "rope_theta": 500.0, "rope_scale": 2.0, "norm_eps": 1e-3},
        {**LLAMA, "qkv_bias": True, "mlp_bias": True, "head_size": 6, "attn_scale": 0.3},
        {**LLAMA, "n_kv_head": 1},
        {**LLAMA, "n_head": 6, "n_kv_head": 2, "head_size": 6, "qkv_bias": True, "attn_scale": 0.3},
        {**LLAMA, "rope_scaling": {"kind": "dynamic", "factor": 2.0, "original_block_size": 16}},
        {**LLAMA, "rope_scaling": LLAMA3},
        {**LLAMA, "rope_scaling": YARN, "rope_theta": 500.0},
        {**LLAMA, "rope_scaling": {**YARN, "attention_factor": 1.5, "truncate": False}},
    ],
)
def test_transformers_gives_the_same_logits(saved, transformers, tmp_path, fields):
    model = saved(**fields)
    export_model(tmp_path / "model", "hf", tmp_path / "hf", plugins=PLUGINS)
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    back = mypt.load(tmp_path / "hf", plugins=PLUGINS)
    with torch.no_grad():
        wanted = model(IDS)
        torch.testing.assert_close(theirs.eval()(IDS).logits, wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(back(IDS), wanted, atol=1e-5, rtol=0)
    ours, again = model.state_dict(), back.state_dict()
    assert ours.keys() == again.keys()
    is_folded = back.config.attention_scale != model.config.attention_scale
    equal = [
        torch.equal(again[name], tensor)
        for name, tensor in ours.items()
        if not (is_folded and ".sa.qkv." in name)  # rounded, and so left folded
    ]
    assert all(equal)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head_bias": True}, r"/head_bias: is true.*train a model with --no_head_bias"),
        ({**LLAMA, "attention_type": "causal", "qk_norm": "head", "logit_scale": 0.3}, "/logit_"),
    ],
)
def test_what_no_class_can_compute_is_refused_with_the_flag(saved, tmp_path, fields, message):
    saved(**fields)
    with pytest.raises(FormatError, match=message):
        export_model(tmp_path / "model", "hf", tmp_path / "hf", plugins=PLUGINS)
    assert not (tmp_path / "hf").exists()


def test_half_precision_is_kept(saved, tmp_path):
    from mypt.engine.checkpoints.write import describe_model, weights_of, write_bundle
    from mypt.format.storage.commit import open_for_writing
    from mypt.format.tensors.weights_file import describe_weights

    model = saved(**GPT2)
    with open_for_writing(tmp_path / "half") as writer:
        write_bundle(
            writer, describe_model(model, None), None, weights_of(model), None, torch.bfloat16
        )
    export_model(tmp_path / "half", "hf", tmp_path / "hf", plugins=PLUGINS)
    infos = describe_weights(tmp_path / "hf" / "model.safetensors", "")
    assert {info.dtype for info in infos.values()} == {"bfloat16"}
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_folder_in_use_is_left_alone(saved, tmp_path):
    saved(**GPT2)
    (tmp_path / "hf").mkdir()
    export_model(tmp_path / "model", "hf", tmp_path / "hf", plugins=PLUGINS)
    before = {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}
    with pytest.raises(UsageError, match="not an empty folder"):
        export_model(tmp_path / "model", "hf", tmp_path / "hf", plugins=PLUGINS)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"model", "hf"}


def test_a_tokenizer_that_was_kept_whole_is_written_as_it_was(fixtures, tmp_path):
    source = fixtures / "foreign" / "hf_gpt2"
    export_model(source, "hf", tmp_path / "hf", plugins=PLUGINS)
    written, held = ((f / "tokenizer.json").read_text("utf-8") for f in (tmp_path / "hf", source))
    assert json.loads(written) == json.loads(held)
